-- Sweeps: each once, with what it was asked and whether it is done.
CREATE OR REPLACE VIEW sweeps AS
SELECT * EXCEPT (revision, sweep_hash), lower(hex(sweep_hash)) AS sweep_hash FROM violet_sweeps FINAL;
