-- At which leverage of an exchange would the decisions have fit into the wallet, one at a time?
-- Columns: exchange_leverage (times), n (decisions), fits (notional within capital * exchange_leverage), share (of n),
--   used_median, used_p95 (of the wallet, as margin).
-- Source: findings 4. The share that is not used is no free headroom: most of it is the haircut (findings 5).
SELECT toUInt8(substring(policy, 6)) AS exchange_leverage, n, fits, share, used_median, used_p95
FROM study_margin
WHERE run_id = {run:String} AND startsWith(policy, 'flat')
ORDER BY exchange_leverage
