-- 0008 incidents: what happened to a run.
-- Why: a soak of weeks must be able to say what it went through.  Pairs: journal/ledger.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_incidents (
    run_id String,
    at DateTime64(3, 'UTC'),
    severity Enum8('INFO' = 0, 'WARN' = 1, 'ERROR' = 2),
    code Enum16('STARTED' = 1, 'RESUMED' = 2, 'STOPPED' = 3, 'ENDED' = 4, 'SEGMENT_OPENED' = 5, 'COLD_START' = 6, 'ENGINE_RESTARTED' = 101, 'JOURNAL_AWAY' = 102, 'BROKER_AWAY' = 103, 'DISK_SHORT' = 104, 'GAP_ACCEPTED' = 105, 'INTEGRITY' = 201, 'HALTED' = 202, 'HALT_RESUMED' = 203),
    detail String
) ENGINE = MergeTree
ORDER BY (run_id, at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
