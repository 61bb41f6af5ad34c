-- How are the values of each lane distributed, over all scans and over the decisions on each asset?
-- Columns: lane, asset (*: all scans), n (readings), min, p01, p05, p50, p95, p99, max (its multiplier; base: its leverage;
--   exact quantiles).
-- Source: findings 8c (the exact answer, beside any sketch).
SELECT lane, asset, n, min, p01, p05, p50, p95, p99, max
FROM lane_quantiles
WHERE run_id = {run:String}
ORDER BY indexOf($lane_names, lane), asset
