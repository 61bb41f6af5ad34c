-- Which reasons do rows carry: doubts, and why scans did not decide?
-- Columns: reason, decisions, evaluations (rows that carry it), first_ts, last_ts (event time).
-- Source: docs/design/lanes.md.
SELECT arrayJoin(reasons) AS reason, countIf(actuated) AS decisions, countIf(NOT actuated) AS evaluations,
    min(ts) AS first_ts, max(ts) AS last_ts
FROM scans
WHERE run_id = {run:String}
GROUP BY reason
ORDER BY decisions + evaluations DESC, reason
