-- How much does each lane move the size of a decision?
-- Columns: lane (a multiplier on base), n (decisions), raised, lowered, unmoved (above 1, below 1, 1), zero (the lane gives 0),
--   factor_avg (geometric mean over those above 0), factor_min, factor_max (dimensionless).
-- Source: findings 8b and 8c.
SELECT lane, count() AS n, countIf(value > 1) AS raised, countIf(value < 1) AS lowered, countIf(value = 1) AS unmoved,
    countIf(value = 0) AS zero, exp(avgIf(log(value), value > 0)) AS factor_avg, min(value) AS factor_min, max(value) AS factor_max
FROM lane_readings
WHERE run_id = {run:String} AND actuated AND lane != 'base'
GROUP BY lane
ORDER BY indexOf($lane_names, lane)
