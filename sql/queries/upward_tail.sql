-- Where is the leverage more than 5 % above what the base lane alone gives?
-- Columns: vel_div (bucket, its first bound included; all: every decision), n (decisions), above (leverage / base > 1.05),
--   share_above (of n), below (leverage / base < 0.95), ratio_median, ratio_max (leverage / base).
-- Source: findings 8.
SELECT vel_div, n, above, share_above, below, ratio_median, ratio_max
FROM study_tail
WHERE run_id = {run:String} AND label = ''
ORDER BY vel_div = 'all', vel_div
