-- On how many scans was a plane missing, or older than its alert age?
-- Columns: plane (its name), scans (all), missing (never seen), stale (older than the alert age), share (of scans: either),
--   decisions (either, that decided), last_ts (event time of the last such scan; NULL: none).
-- Source: docs/design/lanes.md (a doubt is a reason).
SELECT plane, sum(n) AS scans, sumIf(n, is_missing) AS missing, sumIf(n, is_stale) AS stale, (missing + stale) / scans AS share,
    sumIf(n, actuated AND (is_missing OR is_stale)) AS decisions, maxOrNullIf(newest_ts, is_missing OR is_stale) AS last_ts
FROM (
    SELECT plane, n, actuated, newest_ts, has(marks, concat('PLANE_MISSING_', upper(plane))) AS is_missing,
        has(marks, concat('PLANE_STALE_', upper(plane))) AS is_stale
    FROM (
        SELECT CAST(reasons, 'Array(String)') AS marks, actuated, count() AS n, max(ts) AS newest_ts
        FROM scans
        WHERE run_id = {run:String}
        GROUP BY reasons, actuated
    )
    ARRAY JOIN $plane_names AS plane
)
GROUP BY plane
ORDER BY share DESC, plane
