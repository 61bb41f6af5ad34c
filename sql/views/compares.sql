-- Comparisons with BLUE: each once, as it was made first; an INVALID one has clauses and no figures.
CREATE OR REPLACE VIEW compares AS
SELECT * FROM violet_compares
ORDER BY compare_id, compared_at
LIMIT 1 BY compare_id;
