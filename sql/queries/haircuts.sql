-- Which haircuts did EsoF give, and how often was it the fallback of a stale plane?
-- Columns: haircut (within 0.01 of a plateau, or between), n (decisions), share (of all), fallback (0.4 because the plane was
--   missing or stale), leverage_avg (dimensionless).
-- Source: findings 8.
SELECT multiIf(
        abs(esof - 0.3) <= 0.01, '0.3', abs(esof - 0.4) <= 0.01, '0.4', abs(esof - 0.65) <= 0.01, '0.65',
        abs(esof - 0.8) <= 0.01, '0.8', abs(esof - 0.9) <= 0.01, '0.9', abs(esof - 1) <= 0.01, '1', 'between'
    ) AS haircut, count() AS n, n / sum(n) OVER () AS share,
    countIf(hasAny(reasons, ['PLANE_MISSING_ESOF', 'PLANE_STALE_ESOF'])) AS fallback, avg(leverage) AS leverage_avg
FROM decisions
WHERE run_id = {run:String}
GROUP BY haircut
ORDER BY haircut
