-- 0007 rejects: records that could not be used, with their bytes.
-- Why: an outcome of an offset; nothing is lost.  Pairs: journal/row.py REJECT  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_rejects (
    run_id LowCardinality(String),
    segment UInt32,
    topic LowCardinality(String),
    partition UInt32,
    log_offset Int64,
    code Enum16('MALFORMED' = 101, 'SCHEMA_VERSION' = 102, 'NON_FINITE' = 103, 'KIND' = 104, 'MISSING_FIELD' = 105, 'WRONG_TYPE' = 106, 'OUT_OF_RANGE' = 107, 'BAD_NAME' = 108, 'TOO_LARGE' = 109, 'EMPTY' = 110, 'PLANE_NAME' = 201, 'PLANE_VALUE' = 202, 'LANE_NON_FINITE' = 301, 'LANE_ERROR' = 302, 'BLOCK_REFUSED' = 401),
    lane LowCardinality(String),
    kind LowCardinality(String),
    stream LowCardinality(String),
    scan_id Int64,
    ts_ms Int64,
    bytes UInt64,
    digest String,
    raw String CODEC(ZSTD),
    detail String
) ENGINE = ReplacingMergeTree
PARTITION BY run_id
ORDER BY (run_id, topic, partition, log_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
