-- Where is BLUE's recorded leverage more than 5 % above the base lane's of the decision beside it?
-- Columns: label (whose trades), vel_div (bucket, its first bound included; all: every trade), n (trades within 5 minutes of a
--   decision), above (recorded / base > 1.05), share_above (of n), ratio_median (recorded / base).
-- Source: findings 8.
SELECT label, vel_div, n, above, share_above, ratio_median
FROM study_tail
WHERE run_id = {run:String} AND label != ''
ORDER BY label, vel_div = 'all', vel_div
