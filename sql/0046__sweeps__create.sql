-- 0046 sweeps: what each sweep of bindings over a run was asked, and whether it is done.
-- Why: bindings are asked about in SQL, beside the run.  Pairs: journal/judge/swept.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_sweeps (
    sweep_id String,
    revision UInt8,
    run_id LowCardinality(String),
    name LowCardinality(String),
    state Enum8('RUNNING' = 0, 'DONE' = 1),
    asked String CODEC(ZSTD),
    param_names Array(LowCardinality(String)),
    bindings UInt64,
    scans UInt64,
    decisions UInt64,
    read_from LowCardinality(String),
    params_hash LowCardinality(String),
    code_hash LowCardinality(String),
    math_fingerprint LowCardinality(String),
    counters Array(Float64),
    sweep_hash UInt64,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(revision)
ORDER BY sweep_id
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
