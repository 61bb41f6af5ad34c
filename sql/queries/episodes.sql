-- For how many consecutive scans does a signal stay on one asset?
-- Columns: asset, episodes (unbroken rows of scans of a stream that all decided on it), n (decisions), length_avg, length_max
--   (decisions an episode), longest_from_ts (event time at which the longest begins; of equal ones the first in the log).
-- Source: findings 9.
-- To be sorted at little cost a scan is one number: its offset, and the place of its asset in `assets` (0: no decision).
WITH (SELECT arraySort(groupUniqArray(toString(asset))) FROM decisions WHERE run_id = {run:String}) AS assets
SELECT e.asset AS asset, episodes, n, n / episodes AS length_avg, length_max, d.ts AS longest_from_ts
FROM decisions AS d
INNER JOIN (
    SELECT assets[toUInt32(bitAnd(start, 0xfffff))] AS asset, count() AS episodes, sum(length) AS n, max(length) AS length_max,
        argMin((partition, toInt64(bitShiftRight(start, 20))), (-length, partition, start)) AS longest
    FROM (
        SELECT partition, start, toInt64(next) - i AS length
        FROM (
            SELECT partition, arraySort(groupArray(
                    toUInt128(log_offset) * 0x100000 + transform(asset, assets, arrayEnumerate(assets), 0)
                )) AS scans,
                arrayMap(scan -> toUInt32(bitAnd(scan, 0xfffff)), scans) AS codes,
                arrayMap((code, before) -> code != before, codes, arrayPushFront(arrayPopBack(codes), 0xfffff)) AS is_first,
                arrayFilter((scan, first) -> first, scans, is_first) AS starts,
                arrayFilter((i, first) -> first, arrayEnumerate(is_first), is_first) AS places
            FROM scans
            WHERE run_id = {run:String}
            GROUP BY stream, partition
        )
        ARRAY JOIN starts AS start, places AS i, arrayPushBack(arrayPopFront(places), length(scans) + 1) AS next
    )
    WHERE bitAnd(start, 0xfffff) > 0
    GROUP BY asset
) AS e ON d.partition = e.longest.1 AND d.log_offset = e.longest.2
WHERE d.run_id = {run:String}
ORDER BY n DESC, asset
