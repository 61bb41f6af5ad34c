-- Completed batches: counts, hashes, latency (poll to completion) and drift (wall clock minus event time).
CREATE OR REPLACE VIEW batches AS
SELECT * EXCEPT (phase, attempt)
FROM violet_batches FINAL
WHERE phase = 'COMPLETE';
