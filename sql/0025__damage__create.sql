-- 0025 damage: parts of the journal's tables that were there and are gone, found when the engine started.
-- Why: the engine misses no part whose folder is gone.  Pairs: journal/engine/inventory.py, journal/judge/damage.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_damage (
    table String,
    part String,
    rows UInt64,
    found_at DateTime64(3, 'UTC'),
    mended String,
    revision UInt8
) ENGINE = ReplacingMergeTree(revision)
ORDER BY (table, part, found_at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
