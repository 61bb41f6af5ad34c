-- Which bound fixed the leverage, how often, and at which values?
-- Columns: bound (PRODUCT: none, the lanes' product stands), n (decisions), share (of all), leverage_min, leverage_median,
--   leverage_max (after the bound), cut_median (leverage_fanin / raw: below 1 it was cut, above 1 lifted; NULL: raw is 0).
-- Source: findings 8b.
SELECT bound, count() AS n, n / sum(n) OVER () AS share, min(leverage_fanin) AS leverage_min,
    quantileExactInclusive(0.5)(leverage_fanin) AS leverage_median, max(leverage_fanin) AS leverage_max,
    quantileExactInclusiveOrNullIf(0.5)(leverage_fanin / raw, raw > 0) AS cut_median
FROM decisions
WHERE run_id = {run:String}
GROUP BY bound
ORDER BY n DESC, bound
