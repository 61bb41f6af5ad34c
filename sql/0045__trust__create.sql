-- 0045 trust: the ledger of comparisons that were valid over whole windows, each entry bound to the one before by its hash.
-- Why: trust is earned by what nobody can change unseen.  Pairs: journal/blue/trust.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_trust (
    seq UInt64,
    previous String,
    entry_hash String,
    compare_id String,
    contract_hash String,
    run_id String,
    name LowCardinality(String),
    label Enum8('REAL' = 0, 'STAND-IN' = 1),
    standins Array(String),
    from_ms Int64,
    to_ms Int64,
    verdict Enum8('PASS' = 0, 'FAIL' = 1, 'HOLD' = 2),
    compare_hash String,
    entered_at DateTime64(3, 'UTC')
) ENGINE = MergeTree
ORDER BY seq
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
