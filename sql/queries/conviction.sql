-- What is the distribution of conviction, and of the share of capital that it sizes?
-- Columns: what (conviction: leverage_fanin; notional_fraction: of capital), n (decisions), min, p05, p25, p50, p75, p95, max,
--   avg (dimensionless; exact quantiles).
-- Source: findings 2 and 9.
SELECT of.1 AS what, of.2 AS n, of.3 AS min, of.4[1] AS p05, of.4[2] AS p25, of.4[3] AS p50, of.4[4] AS p75, of.4[5] AS p95,
    of.5 AS max, of.6 AS avg
FROM (
    SELECT [
            (
                'conviction', count(), min(leverage_fanin),
                quantilesExactInclusive(0.05, 0.25, 0.5, 0.75, 0.95)(leverage_fanin),
                max(leverage_fanin), avg(leverage_fanin)
            ),
            (
                'notional_fraction', count(), min(notional_fraction),
                quantilesExactInclusive(0.05, 0.25, 0.5, 0.75, 0.95)(notional_fraction),
                max(notional_fraction), avg(notional_fraction)
            )
        ] AS figures
    FROM decisions
    WHERE run_id = {run:String}
)
ARRAY JOIN figures AS of
WHERE n > 0
ORDER BY what
