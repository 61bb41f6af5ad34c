-- What did BLUE's trades earn at each strength of the signal?
-- Columns: label (whose trades), strength (of the decision beside them: below 1/3, below 2/3, below 1, saturated), n (trades
--   with a pnl within 5 minutes of a decision), wins (pnl > 0), win_rate (of n), pnl_usd (sum), pnl_avg_usd (a trade).
-- Source: findings 6.
SELECT label, multiIf(s < 1 / 3, '0 to 1/3', s < 2 / 3, '1/3 to 2/3', s < 1, '2/3 to 1', 'saturated') AS strength, count() AS n,
    countIf(pnl > 0) AS wins, wins / n AS win_rate, sum(pnl) AS pnl_usd, pnl_usd / n AS pnl_avg_usd
FROM (
    SELECT label, assumeNotNull(pnl) AS pnl, least(1, greatest(0, (-0.02 - assumeNotNull(vel_div)) / (-0.02 - -0.05))) AS s
    FROM blue_pairs
    WHERE run_id = {run:String} AND is_colocated AND pnl IS NOT NULL
)
GROUP BY label, strength
ORDER BY label, strength
