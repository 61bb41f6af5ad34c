-- 0028 segments: the epoch that opened or took over a segment; those of a run's highest epoch count.
-- Why: what a fenced writer still opens must change nothing.  Pairs: journal/ledger/run.py  Rollback: none needed; an older version writes 0.
ALTER TABLE violet_segments
    ADD COLUMN IF NOT EXISTS epoch UInt64,
    MODIFY ORDER BY (run_id, segment, topic, partition, epoch);
