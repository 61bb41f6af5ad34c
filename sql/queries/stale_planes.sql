-- On how many scans was a plane missing, or older than its alert age?
-- Columns: plane (its name), scans (all), missing (never seen), stale (older than the alert age), share (of scans: either),
--   decisions (either, that decided), last_ts (event time of the last such scan; NULL: none).
-- Source: docs/design/lanes.md (a doubt is a reason).
SELECT plane, count() AS scans, countIf(has(marks, concat('PLANE_MISSING_', upper(plane)))) AS missing,
    countIf(has(marks, concat('PLANE_STALE_', upper(plane)))) AS stale, (missing + stale) / scans AS share,
    countIf(actuated AND marked) AS decisions, maxOrNullIf(ts, marked) AS last_ts
FROM (
    SELECT ts, actuated, plane, CAST(reasons, 'Array(String)') AS marks,
        hasAny(marks, [concat('PLANE_MISSING_', upper(plane)), concat('PLANE_STALE_', upper(plane))]) AS marked
    FROM scans
    ARRAY JOIN $plane_names AS plane
    WHERE run_id = {run:String}
)
GROUP BY plane
ORDER BY share DESC, plane
