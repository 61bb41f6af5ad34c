-- 0010 pruned: up to which offset the stored inputs of a partition were dropped by age.
-- Why: what was dropped on purpose is not lost.  Pairs: journal/pruned.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_pruned (
    run_id String,
    topic LowCardinality(String),
    partition UInt32,
    last_offset Int64,
    up_to DateTime64(3, 'UTC'),
    planes UInt64,
    rejects UInt64,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree
ORDER BY (run_id, topic, partition, last_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
