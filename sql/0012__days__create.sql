-- 0012 days: the gate of each UTC day of a run, over what was journaled on it.
-- Why: a soak of weeks is read a line a day.  Pairs: journal/day.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_days (
    run_id String,
    day Date,
    verdict LowCardinality(String),
    held String,
    first_offsets Map(UInt32, Int64),
    last_offsets Map(UInt32, Int64),
    records UInt64,
    decisions UInt64,
    evaluations UInt64,
    planes UInt64,
    rejects UInt64,
    lost UInt64,
    doubled UInt64,
    corrupt UInt64,
    coverage Nullable(Float64),
    time_coverage Nullable(Float64),
    longest_silence_ms UInt64,
    warnings UInt64,
    errors UInt64,
    disk_bytes UInt64,
    written_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree
ORDER BY (run_id, day)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
