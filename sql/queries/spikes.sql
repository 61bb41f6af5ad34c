-- How far do signals go beyond saturation, and what size do they get?
-- Columns: vel_div (band; -0.05 saturates the base lane), n (decisions), deepest (least vel_div), leverage_min,
--   leverage_median, leverage_max (dimensionless).
-- Source: findings 9.
SELECT multiIf(v > -0.1, '-0.05 to -0.1', v > -1, '-0.1 to -1', v > -10, '-1 to -10', v > -100, '-10 to -100', '-100 and below') AS vel_div,
    count() AS n, min(v) AS deepest, min(leverage) AS leverage_min, quantileExactInclusive(0.5)(leverage) AS leverage_median,
    max(leverage) AS leverage_max
FROM (SELECT d.vel_div AS v, leverage FROM decisions AS d WHERE run_id = {run:String} AND d.vel_div <= -0.05)
GROUP BY vel_div
ORDER BY deepest DESC
