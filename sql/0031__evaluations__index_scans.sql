-- 0031 evaluations: indexes of the id and the event time.
-- Why: a scan is looked up by its id or its time, and rows lie by offset.  Pairs: journal/judge/explain.py, journal/judge/readings.py  Rollback: drop the indexes.
ALTER TABLE violet_evaluations
    ADD INDEX IF NOT EXISTS scan_ids scan_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS times ts_ms TYPE minmax GRANULARITY 1;
