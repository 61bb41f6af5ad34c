-- Runs as they stand now.
CREATE OR REPLACE VIEW runs AS
SELECT * EXCEPT revision
FROM violet_runs FINAL;
