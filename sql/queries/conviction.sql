-- What is the distribution of conviction, and of the share of capital that it sizes?
-- Columns: what (conviction: leverage_fanin; notional_fraction: of capital), n (decisions), min, p05, p25, p50, p75, p95, max,
--   avg (dimensionless; exact quantiles).
-- Source: findings 2 and 9.
SELECT * EXCEPT q FROM (
    SELECT of.1 AS what, count() AS n, min(of.2) AS min, q[1] AS p05, q[2] AS p25, q[3] AS p50, q[4] AS p75, q[5] AS p95,
        max(of.2) AS max, avg(of.2) AS avg, quantilesExactInclusive(0.05, 0.25, 0.5, 0.75, 0.95)(of.2) AS q
    FROM decisions
    ARRAY JOIN [('conviction', leverage_fanin), ('notional_fraction', notional_fraction)] AS of
    WHERE run_id = {run:String}
    GROUP BY what
)
ORDER BY what
