-- 0042 contracts: what comparisons with BLUE hold fixed, each document once, under its hash.
-- Why: only what was anchored here counts, and when it was.  Pairs: journal/blue/anchor.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_contracts (
    contract_hash String,
    name LowCardinality(String),
    run_id String,
    label Enum8('REAL' = 0, 'STAND-IN' = 1),
    from_ms Int64,
    to_ms Int64,
    follows String,
    document String CODEC(ZSTD),
    anchor_topic String,
    anchored_at DateTime64(3, 'UTC'),
    CONSTRAINT named CHECK contract_hash = lower(hex(SHA256(document)))
) ENGINE = MergeTree
ORDER BY (contract_hash, anchored_at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
