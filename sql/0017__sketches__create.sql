-- 0017 sketches: values with weights of what each lane said, per asset: twelve slots of five minutes, and the run before.
-- Why: quantiles of the last hour and of the run go on after a resume.  Pairs: reactor/watch/sketch.py  Rollback: drop the table.
-- Place 0 holds what was folded, up to slot; a row of another place counts only if its slot is later than that.
CREATE TABLE IF NOT EXISTS violet_sketches (
    run_id String,
    place UInt8,
    slot DateTime('UTC'),
    lane LowCardinality(String),
    asset LowCardinality(String),
    samples Array(Float64),
    weights Array(Float64)
) ENGINE = ReplacingMergeTree
ORDER BY (run_id, place, lane, asset)
SETTINGS non_replicated_deduplication_window = 10000;
