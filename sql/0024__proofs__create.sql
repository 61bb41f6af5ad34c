-- 0024 proofs: what the rows of a stretch of a run add up to, counted once.
-- Why: gate, status and a resume cost the same at the end of a year as of a day.  Pairs: journal/judge/proof.py  Rollback: drop the table.
-- segment 0: all of a run that has several. raw, firsts, changes: of each table, by which a change of its rows is known.
CREATE TABLE IF NOT EXISTS violet_proofs (
    run_id String,
    segment UInt32,
    era UInt32,
    partition UInt32,
    first_offset Int64,
    last_offset Int64,
    decisions UInt64,
    evaluations UInt64,
    planes UInt64,
    rejects UInt64,
    scan_rejects UInt64,
    deliverable Int64,
    journaled Int64,
    skipped Int64,
    doubled UInt64,
    corrupt UInt64,
    content_hash UInt64,
    n UInt64,
    pegged UInt64,
    off_abs UInt64,
    repeated UInt64,
    broken UInt64,
    top Nullable(Float64),
    low Nullable(Float64),
    high Nullable(Float64),
    unseen Map(String, UInt64),
    times String CODEC(ZSTD),
    raw Array(UInt64),
    firsts Array(UInt64),
    changes Array(UInt64),
    proved DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree(proved)
ORDER BY (run_id, segment, era, partition, first_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
