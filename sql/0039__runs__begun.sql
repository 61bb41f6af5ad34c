-- 0039 runs: which run began after which, as a number that grows; 0 of a run of before.
-- Why: the latest run is resumed, asked and shown, and a wall clock may be set back.  Pairs: journal/ledger/run.py Run  Rollback: none needed; an older version writes 0.
ALTER TABLE violet_runs ADD COLUMN IF NOT EXISTS begun UInt64 AFTER revision;
