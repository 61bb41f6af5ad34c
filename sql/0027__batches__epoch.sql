-- 0027 batches: the epoch that wrote a row; attempt is that of an intent, and 0 of a completion.
-- Why: the intent of a fenced writer must not replace that of the writer after it; of a completion there is one.
-- Pairs: journal/ledger/ledger.py  Rollback: none needed; an older version writes 0.
ALTER TABLE violet_batches
    ADD COLUMN IF NOT EXISTS epoch UInt64,
    ADD COLUMN IF NOT EXISTS attempt UInt64,
    MODIFY ORDER BY (run_id, topic, partition, first_offset, phase, attempt);
