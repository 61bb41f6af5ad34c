-- Which factor was 0 where the floor lifted a product of 0 to the least leverage?
-- Columns: zero (the part; product where none of them is), n (decisions), notional_usd (sum of what is sized all the same),
--   first_ts, last_ts (event time).
-- Source: docs/design/lanes.md.
SELECT arrayJoin(if(empty(zeros), ['product'], zeros)) AS zero, count() AS n, sum(notional_usd) AS notional_usd,
    min(ts) AS first_ts, max(ts) AS last_ts
FROM (
    SELECT *, arrayFilter(
            (part, value) -> value = 0, $zero_names,
            $zero_values
        ) AS zeros
    FROM decisions
    WHERE run_id = {run:String} AND has(reasons, 'FLOOR_LIFTED')
)
GROUP BY zero
ORDER BY n DESC, zero
