-- How the readings of each lane are distributed: exact quantiles over all scans (asset '*') and over the decisions on each asset.
CREATE OR REPLACE VIEW lane_quantiles AS
SELECT run_id, of.1 AS lane, asset, of.2 AS n, of.3 AS min, of.5[1] AS p01, of.5[2] AS p05, of.5[3] AS p50, of.5[4] AS p95,
    of.5[5] AS p99, of.4 AS max
FROM (
    SELECT run_id, toString(d.asset) AS asset, [$each_lane{(
            '$lane', count($lane), min($lane), max($lane), quantilesExactLow(0.01, 0.05, 0.5, 0.95, 0.99)($lane)
        )}$] AS lanes
    FROM decisions AS d
    GROUP BY run_id, d.asset
    UNION ALL
    SELECT run_id, '*' AS asset, [$each_lane{(
            '$lane', count($lane), min($lane), max($lane), quantilesExactLow(0.01, 0.05, 0.5, 0.95, 0.99)($lane)
        )}$] AS lanes
    FROM scans
    GROUP BY run_id
)
ARRAY JOIN lanes AS of
WHERE n > 0;
