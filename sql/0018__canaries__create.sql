-- 0018 canaries: what a lane's candidate said of a journaled scan, beside what the lane said there.
-- Why: a candidate is compared live before it is promoted.  Pairs: reactor/topology/compare.py  Rollback: drop the table.
-- A candidate that said nothing finite has no value; that, or one that reads other bounds than the fan-in has, no leverage.
CREATE TABLE IF NOT EXISTS violet_canaries (
    run_id LowCardinality(String),
    lane LowCardinality(String),
    topic LowCardinality(String),
    partition UInt32,
    log_offset Int64,
    params_hash LowCardinality(String),
    kernel_hash LowCardinality(String),
    params LowCardinality(String),
    stream LowCardinality(String),
    scan_id Int64,
    ts_ms Int64 CODEC(Delta, LZ4),
    actuated Bool,
    value Float64,
    candidate Nullable(Float64),
    leverage Float64,
    candidate_leverage Nullable(Float64),
    fault String
) ENGINE = ReplacingMergeTree
PARTITION BY run_id
ORDER BY (run_id, lane, topic, partition, log_offset, params_hash, kernel_hash)
SETTINGS non_replicated_deduplication_window = 10000;
