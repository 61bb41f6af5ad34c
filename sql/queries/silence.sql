-- When did no scan come for more than twice the usual step?
-- Columns: stream, from_ts, to_ts (event time of the scans around it), gap_s (seconds), steps_missed (usual steps without a
--   scan), usual_step_s (seconds, the stream's median).
-- Source: docs/design/running.md (time_coverage); the gaps are those that the gate counts.
SELECT stream, fromUnixTimestamp64Milli(from_ms, 'UTC') AS from_ts, fromUnixTimestamp64Milli(from_ms + gap_ms, 'UTC') AS to_ts,
    gap_ms / 1000 AS gap_s, gap_ms / usual_ms - 1 AS steps_missed, usual_ms / 1000 AS usual_step_s
FROM (
    SELECT stream, usual_ms, arrayJoin(
            arrayFilter((at, step) -> step > 2 * usual_ms, arrayZip(arrayPopBack(times), steps), steps)
        ) AS gap, gap.1 AS from_ms, gap.2 AS gap_ms
    FROM (
        SELECT stream, arraySort(groupArray(ts_ms)) AS times, arrayPopFront(arrayDifference(times)) AS steps,
            arrayReduce('quantileExactInclusiveIf(0.5)', steps, arrayMap(step -> step > 0, steps)) AS usual_ms
        FROM scans
        WHERE run_id = {run:String}
        GROUP BY stream
    )
)
ORDER BY gap_s DESC, stream, from_ts
