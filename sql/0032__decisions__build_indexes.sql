-- 0032 decisions: the indexes of 0030 for rows that are there.
-- Why: a journal of before would be searched whole.  Pairs: journal/judge/explain.py, journal/judge/readings.py  Rollback: nothing to do.
ALTER TABLE violet_decisions
    MATERIALIZE INDEX scan_ids,
    MATERIALIZE INDEX times;
