-- Where is BLUE's recorded leverage more than 5 % above the base lane's of the decision beside it?
-- Columns: label (whose trades), vel_div (bucket, its first bound included; all: every trade), n (trades within 5 minutes of a
--   decision), above (recorded / base > 1.05), share_above (of n), ratio_median (recorded / base).
-- Source: findings 8.
SELECT label, if(grouping(bucket) = 1, 'all', bucket) AS vel_div, count() AS n, countIf(ratio > 1.05) AS above,
    above / n AS share_above, quantileExactInclusive(0.5)(ratio) AS ratio_median
FROM (
    SELECT label, recorded / base AS ratio, multiIf(
            p.vel_div > -0.03, '-0.02 to -0.03', p.vel_div > -0.04, '-0.03 to -0.04', p.vel_div > -0.05, '-0.04 to -0.05',
            p.vel_div > -0.06, '-0.05 to -0.06', '-0.06 and below'
        ) AS bucket
    FROM blue_pairs AS p
    WHERE run_id = {run:String} AND is_colocated AND recorded IS NOT NULL
)
GROUP BY GROUPING SETS ((label, bucket), (label))
ORDER BY label, vel_div = 'all', vel_div
