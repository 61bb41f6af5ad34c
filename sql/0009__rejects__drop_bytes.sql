-- 0009 rejects: the SHA-256 of bytes that retention dropped, in hex; empty while the bytes are there.
-- Why: without it no row hash of such a row could be formed.  Pairs: journal/row.py Column.sha  Rollback: drop in a later migration.
ALTER TABLE violet_rejects ADD COLUMN IF NOT EXISTS raw_sha String DEFAULT '' AFTER raw;
