-- How much does each lane move the size of a decision?
-- Columns: lane (a multiplier on base), n (decisions), raised, lowered, unmoved (above 1, below 1, 1), zero (the lane gives 0),
--   factor_avg (geometric mean over those above 0), factor_min, factor_max (dimensionless).
-- Source: findings 8b and 8c.
SELECT of.1 AS lane, of.2 AS n, of.3 AS raised, of.4 AS lowered, of.5 AS unmoved, of.6 AS zero, of.7 AS factor_avg,
    of.8 AS factor_min, of.9 AS factor_max
FROM (
    SELECT [$each_factor{(
            '$lane', count($lane), countIf($lane > 1), countIf($lane < 1), countIf($lane = 1), countIf($lane = 0),
            exp(avgIf(log($lane), $lane > 0)), min($lane), max($lane)
        )}$] AS lanes
    FROM decisions
    WHERE run_id = {run:String}
)
ARRAY JOIN lanes AS of
WHERE n > 0
ORDER BY indexOf($lane_names, lane)
