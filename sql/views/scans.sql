-- Every scan once: a decision (actuated) or an evaluation, with the same columns.
CREATE OR REPLACE VIEW scans AS
SELECT * FROM decisions UNION ALL SELECT * FROM evaluations;
