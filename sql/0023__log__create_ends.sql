-- 0023 log: where the followed log ended when the soak last looked.
-- Why: how far a soak is behind a live topic; and a soak that hangs looks no more.  Pairs: journal/ledger/log_end.py  Rollback: drop the table.
-- The newest look counts; it decides nothing and is written anew every few seconds, so it is not synced to disk.
CREATE TABLE IF NOT EXISTS violet_log_ends (
    run_id String,
    partition UInt32,
    log_end Int64,
    looked_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(looked_at)
ORDER BY (run_id, partition)
SETTINGS non_replicated_deduplication_window = 100;
