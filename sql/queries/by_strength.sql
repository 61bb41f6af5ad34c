-- How many decisions are there at each strength of the signal, and how large are they?
-- Columns: strength_from (a tenth wide; 1 is saturated), n (decisions), share (of all), vel_div_median (dimensionless),
--   leverage_min, leverage_median, leverage_max (times capital * fraction), notional_usd (sum).
-- Source: findings 6.
SELECT least(10, floor(strength * 10)) / 10 AS strength_from, count() AS n, n / sum(n) OVER () AS share,
    quantileExactInclusive(0.5)(vel_div) AS vel_div_median, min(leverage) AS leverage_min,
    quantileExactInclusive(0.5)(leverage) AS leverage_median, max(leverage) AS leverage_max,
    sum(notional_usd) AS notional_usd
FROM decisions
WHERE run_id = {run:String}
GROUP BY strength_from
ORDER BY strength_from
