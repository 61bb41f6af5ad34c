-- What did BLUE's trades earn at each strength of the signal?
-- Columns: label (whose trades), strength (of the decision beside them: below 1/3, below 2/3, below 1, saturated), n (trades
--   with a pnl within 5 minutes of a decision), wins (pnl > 0), win_rate (of n), pnl_usd (sum), pnl_avg_usd (a trade).
-- Source: findings 6.
SELECT label, value AS strength, n, wins, win_rate, pnl_usd, pnl_avg_usd
FROM study_edge
WHERE run_id = {run:String} AND dimension = 'strength'
ORDER BY label, strength
