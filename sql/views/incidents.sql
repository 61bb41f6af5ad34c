-- What happened to the runs: info (start, resume), warn (degraded, healed outage), error (integrity).
CREATE OR REPLACE VIEW incidents AS
SELECT * FROM violet_incidents;
