-- 0036 batches: the last record of each, to know its log again.
-- Why: a log that was rolled back and grew again has other records at journaled offsets.  Pairs: journal/ledger/ledger.py Position, reactor/log/topic.py  Rollback: drop in a later migration.
-- Of a batch of before they are empty and -1, and nothing is compared.
ALTER TABLE violet_batches ADD COLUMN IF NOT EXISTS last_record String DEFAULT '' AFTER digest;
ALTER TABLE violet_batches ADD COLUMN IF NOT EXISTS last_epoch Int32 DEFAULT -1 AFTER last_record;
