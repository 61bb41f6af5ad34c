-- 0033 evaluations: the indexes of 0031 for rows that are there.
-- Why: a journal of before would be searched whole.  Pairs: journal/judge/explain.py, journal/judge/readings.py  Rollback: nothing to do.
ALTER TABLE violet_evaluations
    MATERIALIZE INDEX scan_ids,
    MATERIALIZE INDEX times;
