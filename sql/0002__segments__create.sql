-- 0002 segments: code, params and kernels from an exact offset on.
-- Why: the gate and comparisons judge a segment, never across.  Pairs: journal/run.py Segment  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_segments (
    run_id String,
    segment UInt32,
    topic LowCardinality(String),
    partition UInt32,
    first_offset Int64,
    cause String,
    profile String,
    params String,
    params_hash LowCardinality(String),
    code_hash LowCardinality(String),
    kernels String,
    state String CODEC(ZSTD),
    opened_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree
ORDER BY (run_id, segment, topic, partition)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
