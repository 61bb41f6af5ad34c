-- 0026 claims: which process may write the runs of a soak's name, by epoch; it beats while it lives.
-- Why: one writer, whatever stops, wakes up or is copied.  Pairs: journal/ledger/claim.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_claims (
    name String,
    epoch UInt64,
    holder String,
    place String,
    who String,
    beat UInt64,
    released Bool,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(beat)
ORDER BY (name, epoch, holder)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
