-- How are the values of each lane distributed over all scans?
-- Columns: lane, n (scans), min, p01, p05, p25, p50, p75, p95, p99, max (its multiplier; base: its leverage; exact quantiles).
-- Source: V-105 (the exact answer, beside any sketch).
SELECT * EXCEPT q FROM (
    SELECT lane, count() AS n, min(value) AS min, q[1] AS p01, q[2] AS p05, q[3] AS p25, q[4] AS p50, q[5] AS p75, q[6] AS p95,
        q[7] AS p99, max(value) AS max, quantilesExactInclusive(0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)(value) AS q
    FROM lane_readings
    WHERE run_id = {run:String}
    GROUP BY lane
)
ORDER BY indexOf(['base', 'dc', 'acb', 'ob', 'esof'], lane)
