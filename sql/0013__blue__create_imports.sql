-- 0013 blue imports: what of BLUE's trades was brought in, from where, by which mapping.
-- Why: rows count once their import is COMPLETE, and no longer once it is FORGOTTEN.  Pairs: journal/blue/intake.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_blue_imports (
    import_id String,
    revision UInt64,
    state Enum8('COMPLETE' = 0, 'FORGOTTEN' = 1),
    label Enum8('REAL' = 0, 'STAND-IN' = 1),
    source String,
    mapping String,
    clock_offset_ms Int64,
    trades_read UInt64,
    trades_there UInt64,
    legs_read UInt64,
    legs_there UInt64,
    reason String,
    imported_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(revision)
ORDER BY import_id
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
