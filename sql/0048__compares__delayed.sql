-- 0048 compares: of a pair that differs, the plane whose delay of one scan explains it.
-- Why: only what lies above this noise floor is judged, and SQL can ask which pairs that is.  Pairs: journal/blue/verdict.py  Rollback: drop in a later migration.
ALTER TABLE violet_compare_pairs ADD COLUMN IF NOT EXISTS delayed LowCardinality(String) DEFAULT '' AFTER is_allowed;
