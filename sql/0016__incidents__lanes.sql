-- 0016 incidents: a lane's worker that is waited for, and its return.
-- Why: status names it.  Pairs: lanes/code.py Incident  Rollback: MODIFY COLUMN back, once no row has them.
ALTER TABLE violet_incidents MODIFY COLUMN code Enum16('STARTED' = 1, 'RESUMED' = 2, 'STOPPED' = 3, 'ENDED' = 4, 'SEGMENT_OPENED' = 5, 'COLD_START' = 6, 'ENGINE_RESTARTED' = 101, 'JOURNAL_AWAY' = 102, 'BROKER_AWAY' = 103, 'DISK_SHORT' = 104, 'GAP_ACCEPTED' = 105, 'LANE_MISSING' = 106, 'LANE_BACK' = 107, 'INTEGRITY' = 201, 'HALTED' = 202, 'HALT_RESUMED' = 203);
