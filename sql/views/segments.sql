-- Segments: which code, params and kernels decided from which offset on, and why one was opened.
CREATE OR REPLACE VIEW segments AS
SELECT * FROM violet_segments FINAL;
