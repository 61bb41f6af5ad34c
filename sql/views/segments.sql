-- Segments: which code, params and kernels decided from which offset on, and why one was opened.
CREATE OR REPLACE VIEW segments AS
SELECT * EXCEPT epoch FROM violet_segments FINAL
WHERE (run_id, epoch) IN (SELECT run_id, max(epoch) FROM violet_segments GROUP BY run_id);
