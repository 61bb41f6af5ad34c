-- 0011 incidents: how many of a code a row stands for.
-- Why: an outage that comes and goes for weeks is counted, not listed.  Pairs: journal/incident.py  Rollback: drop in a later migration.
ALTER TABLE violet_incidents ADD COLUMN IF NOT EXISTS count UInt32 DEFAULT 1;
