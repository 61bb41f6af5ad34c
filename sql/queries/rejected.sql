-- Which records could not be used, and what did one look like?
-- Columns: code, n (records), first_offset, last_offset (in the log), example (what was wrong with the first).
-- Source: docs/design/exactly-once.md.
SELECT code, count() AS n, min(log_offset) AS first_offset, max(log_offset) AS last_offset,
    argMin(detail, (topic, partition, log_offset)) AS example
FROM rejects
WHERE run_id = {run:String}
GROUP BY code
ORDER BY n DESC, code
