-- 0001 runs: one row a change of a run, the newest revision counts.
-- Why: what a run reads, with what, and where it stands.  Pairs: journal/run.py Run  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_runs (
    run_id String,
    revision UInt64,
    name String,
    state Enum8('RUNNING' = 0, 'STOPPED' = 1, 'ENDED' = 2, 'HALTED' = 3),
    profile String,
    source String,
    until String,
    start String,
    warm String,
    standins Array(String),
    versions String,
    reason String,
    trading_mode LowCardinality(String),
    is_trading_allowed UInt8,
    started_at DateTime64(3, 'UTC'),
    changed_at DateTime64(3, 'UTC'),
    CONSTRAINT dark CHECK trading_mode = 'DARK' AND is_trading_allowed = 0
) ENGINE = ReplacingMergeTree(revision)
ORDER BY run_id
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
