-- At which leverage of an exchange would the decisions have fit into the wallet, one at a time?
-- Columns: exchange_leverage (times), n (decisions), fits (notional within capital * exchange_leverage), share (of n),
--   used_median, used_p95 (of the wallet, as margin).
-- Source: findings 4. The share that is not used is no free headroom: most of it is the haircut (findings 5).
SELECT arrayJoin([1, 2, 3]) AS exchange_leverage, count() AS n, countIf(notional_fraction <= exchange_leverage) AS fits,
    fits / n AS share, quantileExactInclusive(0.5)(notional_fraction / exchange_leverage) AS used_median,
    quantileExactInclusive(0.95)(notional_fraction / exchange_leverage) AS used_p95
FROM decisions
WHERE run_id = {run:String}
GROUP BY exchange_leverage
ORDER BY exchange_leverage
