-- Bindings of the sweeps: the params that each sets, and what the decisions of the run would have been under it. Binding 0 is the run's own.
CREATE OR REPLACE VIEW sweep_bindings AS
SELECT
    b.sweep_id AS sweep_id, s.run_id AS run_id, s.name AS name, b.binding AS binding,
    CAST((s.param_names, b.param_values), 'Map(String, Float64)') AS params,
    b.decisions AS decisions, b.non_finite AS non_finite,
    b.leverage_sum / b.decisions AS leverage_mean,
    b.leverage_min AS leverage_min, b.leverage_p05 AS leverage_p05, b.leverage_p50 AS leverage_p50,
    b.leverage_p95 AS leverage_p95, b.leverage_p99 AS leverage_p99, b.leverage_max AS leverage_max,
    b.notional_sum_usd AS notional_sum_usd, b.notional_max_usd AS notional_max_usd,
    b.product AS product, b.cap AS cap, b.abs AS abs, b.stalker AS stalker, b.floor AS floor,
    b.histogram AS histogram, s.counters AS counters
FROM violet_sweep_bindings AS b FINAL INNER JOIN violet_sweeps AS s FINAL ON s.sweep_id = b.sweep_id;
