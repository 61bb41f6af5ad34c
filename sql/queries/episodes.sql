-- For how many consecutive scans does a signal stay on one asset?
-- Columns: asset, episodes (unbroken rows of scans of a stream that all decided on it), n (decisions), length_avg, length_max
--   (decisions an episode), longest_from_ts (event time at which the longest begins).
-- Source: findings 9.
SELECT asset, count() AS episodes, sum(length) AS n, n / episodes AS length_avg, max(length) AS length_max,
    argMax(from_ts, (length, -toUnixTimestamp64Milli(from_ts))) AS longest_from_ts
FROM (
    SELECT stream, asset, count() AS length, argMin(ts, at) AS from_ts
    FROM (
        SELECT stream, asset, ts, actuated, at, at - row_number() OVER (PARTITION BY stream, asset, actuated ORDER BY at) AS episode
        FROM (
            SELECT stream, asset, ts, actuated, row_number() OVER (PARTITION BY stream ORDER BY topic, partition, log_offset) AS at
            FROM scans
            WHERE run_id = {run:String}
        )
    )
    WHERE actuated
    GROUP BY stream, asset, episode
)
GROUP BY asset
ORDER BY n DESC, asset
