-- Runs as they stand now; `replay_of` is the run whose records a replay evaluated again, else empty.
CREATE OR REPLACE VIEW runs AS
SELECT * EXCEPT revision, JSONExtractString(source, 'replay_of') AS replay_of
FROM violet_runs FINAL;
