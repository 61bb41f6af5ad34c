-- Over how many assets are the decisions spread, and how unevenly?
-- Columns: rank (1 is the most chosen), asset, n (decisions), share (of all), share_up_to (of all, up to this rank),
--   leverage_avg (dimensionless).
-- Source: findings 9.
SELECT row_number() OVER (ORDER BY n DESC, asset) AS rank, asset, count() AS n, n / sum(n) OVER () AS share,
    sum(n) OVER (ORDER BY n DESC, asset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) / sum(n) OVER () AS share_up_to,
    avg(leverage) AS leverage_avg
FROM decisions
WHERE run_id = {run:String}
GROUP BY asset
ORDER BY rank
