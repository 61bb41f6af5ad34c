-- How often did each plane come, and how old was its last value at the last scan?
-- Columns: stream, plane (names), n (records that are stored: what `--keep-inputs` dropped or came before a late start is
--   in no figure), step_median_s (seconds between event times, in log order), longest_gap_s (seconds), age_s (seconds of event time from the last record in the log to the newest scan; negative: it is from later).
-- Source: docs/design/lanes.md (a doubt is a reason).
SELECT p.stream AS stream, name AS plane, count() AS n,
    quantileExactInclusiveOrNullIf(0.5)(step_ms, nth > 1) / 1000 AS step_median_s,
    maxOrNullIf(step_ms, nth > 1) / 1000 AS longest_gap_s, (any(newest_ms) - argMax(ts_ms, nth)) / 1000 AS age_s
FROM (
    SELECT stream, name, ts_ms, row_number() OVER w AS nth, ts_ms - lagInFrame(ts_ms) OVER w AS step_ms
    FROM planes
    WHERE run_id = {run:String}
    WINDOW w AS (PARTITION BY stream, name ORDER BY topic, partition, log_offset)
) AS p
INNER JOIN (SELECT stream, max(ts_ms) AS newest_ms FROM scans WHERE run_id = {run:String} GROUP BY stream) AS s
    ON p.stream = s.stream
GROUP BY stream, plane
ORDER BY stream, plane
