-- 0006 planes: each plane record as it was taken.
-- Why: an outcome of an offset, and the stored input of the scans after it.  Pairs: journal/row.py PLANE  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_planes (
    run_id LowCardinality(String),
    segment UInt32,
    topic LowCardinality(String),
    partition UInt32,
    log_offset Int64,
    stream LowCardinality(String),
    name LowCardinality(String),
    seq Int64,
    ts_ms Int64 CODEC(Delta, LZ4),
    form Enum8('NEVER_SEEN' = 0, 'MULTIPLIER' = 1, 'INPUTS' = 2),
    x Float64,
    y Float64,
    z Float64,
    text LowCardinality(String),
    CONSTRAINT time CHECK ts_ms >= 1230768000000 AND ts_ms < 4102444800000
) ENGINE = ReplacingMergeTree
PARTITION BY run_id
ORDER BY (run_id, topic, partition, log_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
