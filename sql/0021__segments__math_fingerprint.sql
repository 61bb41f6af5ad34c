-- 0021 segments: the math fingerprint of the machine that decided.
-- Why: libm's pow differs by CPU, and another one gives other bits.  Pairs: lanes/fingerprint.py, journal/ledger/run.py Segment  Rollback: drop in a later migration.
-- Of a segment of before it is empty: nobody knows.
ALTER TABLE violet_segments ADD COLUMN IF NOT EXISTS math_fingerprint LowCardinality(String) AFTER code_hash;
