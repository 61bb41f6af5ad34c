-- 0022 runs: what was asked of the run, as JSON: from, until, and the planes that BLUE has none of.
-- Why: a resume that asks for something else is told from the same command once more.  Pairs: journal/ledger/run.py Run  Rollback: drop in a later migration.
-- Of a run of before it is an empty object: nobody knows.
ALTER TABLE violet_runs ADD COLUMN IF NOT EXISTS asked String DEFAULT '{}' AFTER until;
