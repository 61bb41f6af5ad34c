-- How the readings of each lane are distributed: exact quantiles over all scans (asset '*') and over the decisions on each asset.
CREATE OR REPLACE VIEW lane_quantiles AS
SELECT run_id, lane, of AS asset, n, min, q[1] AS p01, q[2] AS p05, q[3] AS p50, q[4] AS p95, q[5] AS p99, max
FROM (
    SELECT run_id, reading.1 AS lane, of, count() AS n, min(reading.2) AS min, max(reading.2) AS max,
        quantilesExactLow(0.01, 0.05, 0.5, 0.95, 0.99)(reading.2) AS q
    FROM (
        SELECT run_id, arrayJoin(if(asset = '', ['*'], ['*', toString(asset)])) AS of,
            arrayJoin($lane_values) AS reading
        FROM (
            SELECT run_id, asset, $values FROM decisions
            UNION ALL
            SELECT run_id, asset, $values FROM evaluations
        )
    )
    GROUP BY run_id, lane, of
);
