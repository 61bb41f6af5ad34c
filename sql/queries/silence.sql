-- When did no scan come for more than twice the usual step?
-- Columns: stream, from_ts, to_ts (event time of the scans around it), gap_s (seconds), steps_missed (usual steps without a
--   scan), usual_step_s (seconds, the stream's median).
-- Source: docs/design/running.md (time_coverage); the gaps are those that the gate counts.
WITH steps AS (
    SELECT stream, ts, ts_ms, lagInFrame(ts) OVER w AS before, ts_ms - lagInFrame(ts_ms) OVER w AS gap_ms, row_number() OVER w AS nth
    FROM (SELECT DISTINCT stream, ts, ts_ms FROM scans WHERE run_id = {run:String})
    WINDOW w AS (PARTITION BY stream ORDER BY ts_ms)
)
SELECT s.stream AS stream, before AS from_ts, ts AS to_ts, gap_ms / 1000 AS gap_s, gap_ms / usual_ms - 1 AS steps_missed,
    usual_ms / 1000 AS usual_step_s
FROM steps AS s
INNER JOIN (SELECT stream, quantileExactInclusiveIf(0.5)(gap_ms, nth > 1) AS usual_ms FROM steps GROUP BY stream) AS m
    ON s.stream = m.stream
WHERE nth > 1 AND gap_ms > 2 * usual_ms
ORDER BY gap_s DESC, stream, from_ts
