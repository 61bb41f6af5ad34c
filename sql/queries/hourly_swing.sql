-- How does conviction change from hour to hour?
-- Columns: hour (UTC, event time), n (decisions), conviction_avg, conviction_median, conviction_min, conviction_max (leverage
--   before any haircut after the fan-in), acb_avg (the regime's multiplier), swing (conviction_avg minus that of the last hour
--   with a decision).
-- Source: findings 9.
SELECT toStartOfHour(ts) AS hour, count() AS n, avg(leverage_fanin) AS conviction_avg,
    quantileExactInclusive(0.5)(leverage_fanin) AS conviction_median, min(leverage_fanin) AS conviction_min,
    max(leverage_fanin) AS conviction_max, avg(acb) AS acb_avg,
    conviction_avg - lagInFrame(toNullable(conviction_avg)) OVER (ORDER BY hour) AS swing
FROM decisions
WHERE run_id = {run:String}
GROUP BY hour
ORDER BY hour
