-- 0003 batches: an intent before the inserts, a completion after them.
-- Why: the journal owns the offsets.  Pairs: journal/ledger.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_batches (
    run_id LowCardinality(String),
    segment UInt32,
    topic LowCardinality(String),
    partition UInt32,
    first_offset Int64,
    last_offset Int64,
    phase Enum8('INTENT' = 0, 'COMPLETE' = 1),
    decisions UInt32,
    evaluations UInt32,
    planes UInt32,
    rejects UInt32,
    decisions_hash UInt64,
    evaluations_hash UInt64,
    planes_hash UInt64,
    rejects_hash UInt64,
    digest String,
    skipped String,
    unknown String,
    state String CODEC(ZSTD),
    latency_ms Float64,
    drift_ms Int64,
    written_at DateTime64(3, 'UTC'),
    CONSTRAINT span CHECK first_offset >= 0 AND last_offset >= first_offset
) ENGINE = ReplacingMergeTree
PARTITION BY run_id
ORDER BY (run_id, topic, partition, first_offset, phase)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
