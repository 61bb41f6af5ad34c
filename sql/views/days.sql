-- A line a UTC day: the gate over what a run journaled on that day, and how large the journal was then.
CREATE OR REPLACE VIEW days AS
SELECT * FROM violet_days FINAL;
