-- Where is the leverage more than 5 % above what the base lane alone gives?
-- Columns: vel_div (bucket, its first bound included; all: every decision), n (decisions), above (leverage / base > 1.05),
--   share_above (of n), below (leverage / base < 0.95), ratio_median, ratio_max (leverage / base).
-- Source: findings 8.
SELECT if(grouping(bucket) = 1, 'all', bucket) AS vel_div, count() AS n, countIf(ratio > 1.05) AS above,
    above / n AS share_above, countIf(ratio < 0.95) AS below, quantileExactInclusive(0.5)(ratio) AS ratio_median,
    max(ratio) AS ratio_max
FROM (
    SELECT leverage / base AS ratio,
        arrayFirst(each -> d.vel_div > each.1, (SELECT buckets FROM vel_div_buckets)).2 AS bucket
    FROM decisions AS d
    WHERE run_id = {run:String}
)
GROUP BY GROUPING SETS ((bucket), ())
ORDER BY vel_div = 'all', vel_div
