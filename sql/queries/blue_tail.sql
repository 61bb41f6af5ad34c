-- Where is BLUE's recorded leverage more than 5 % above the base lane's of the decision beside it?
-- Columns: label (whose trades), vel_div (bucket, its first bound included; all: every trade), n (trades within 5 minutes of a
--   decision), above (recorded / base > 1.05), share_above (of n), ratio_median (recorded / base).
-- Source: findings 8.
SELECT label, if(grouping(bucket) = 1, 'all', bucket) AS vel_div, count() AS n, countIf(ratio > 1.05) AS above,
    above / n AS share_above, quantileExactInclusive(0.5)(ratio) AS ratio_median
FROM (
    SELECT label, recorded / base AS ratio,
        arrayFirst(each -> assumeNotNull(p.vel_div) > each.1, (SELECT buckets FROM vel_div_buckets)).2 AS bucket
    FROM blue_pairs AS p
    WHERE run_id = {run:String} AND is_colocated AND recorded IS NOT NULL
)
GROUP BY GROUPING SETS ((label, bucket), (label))
ORDER BY label, vel_div = 'all', vel_div
