-- How fresh is the journal, and how fast was it written?
-- Columns: batches, outcomes (rows of all kinds), last_written (UTC, wall clock), latency_p50_ms, latency_p99_ms, latency_max_ms
--   (from the poll to the completion of a batch), drift_s (wall clock minus event time of the last batch that had a scan;
--   NULL where none had).
-- Source: docs/design/records.md.
SELECT * EXCEPT q FROM (
    SELECT count() AS batches, sum(decisions + evaluations + planes + rejects) AS outcomes, max(written_at) AS last_written,
        q[1] AS latency_p50_ms, q[2] AS latency_p99_ms, max(latency_ms) AS latency_max_ms,
        argMaxOrNullIf(drift_ms, written_at, decisions + evaluations > 0) / 1000 AS drift_s,
        quantilesExactInclusive(0.5, 0.99)(latency_ms) AS q
    FROM batches
    WHERE run_id = {run:String}
    HAVING batches > 0
)
