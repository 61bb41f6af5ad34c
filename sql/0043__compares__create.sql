-- 0043 compares: what each comparison of a run with BLUE came to; an INVALID one has clauses and no figures.
-- Why: command, page, dashboards and reports read the same figures.  Pairs: journal/blue/verdict.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_compares (
    compare_id String,
    contract_hash String,
    run_id String,
    name LowCardinality(String),
    label Enum8('REAL' = 0, 'STAND-IN' = 1),
    from_ms Int64,
    to_ms Int64,
    is_over Bool,
    verdict Enum8('PASS' = 0, 'FAIL' = 1, 'HOLD' = 2, 'INVALID' = 3),
    clauses String CODEC(ZSTD),
    measures String CODEC(ZSTD),
    figures String CODEC(ZSTD),
    pairs UInt64,
    trades UInt64,
    compared_at DateTime64(3, 'UTC'),
    CONSTRAINT silent CHECK verdict != 'INVALID' OR (measures = '[]' AND figures = '{}')
) ENGINE = MergeTree
ORDER BY (compare_id, compared_at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
