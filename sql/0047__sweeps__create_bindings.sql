-- 0047 sweeps: what each binding of a sweep gave over the decisions of its run.
-- Why: a million bindings are sorted and filtered in SQL.  Pairs: journal/judge/swept.py  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_sweep_bindings (
    sweep_id LowCardinality(String),
    binding UInt64,
    param_values Array(Float64),
    decisions UInt64,
    non_finite UInt64,
    product UInt64,
    cap UInt64,
    abs UInt64,
    stalker UInt64,
    floor UInt64,
    leverage_sum Float64,
    leverage_min Float64,
    leverage_max Float64,
    leverage_p05 Float64,
    leverage_p50 Float64,
    leverage_p95 Float64,
    leverage_p99 Float64,
    notional_sum_usd Float64,
    notional_max_usd Float64,
    histogram Array(UInt32)
) ENGINE = ReplacingMergeTree
ORDER BY (sweep_id, binding)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
