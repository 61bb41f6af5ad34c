-- The assets that BLUE traded inside a run's window: trades, those co-located, and how often the run decided on it.
CREATE OR REPLACE VIEW blue_universe AS
SELECT p.run_id AS run_id, p.label AS label, p.asset AS asset, p.trades AS trades, p.colocated AS colocated,
    d.decisions AS decisions, d.decisions > 0 AS is_covered
FROM (
    SELECT run_id, label, asset, count() AS trades, countIf(is_colocated) AS colocated
    FROM blue_pairs
    GROUP BY run_id, label, asset
) AS p
LEFT JOIN (SELECT run_id, asset, count() AS decisions FROM violet_decisions FINAL GROUP BY run_id, asset) AS d
    ON p.run_id = d.run_id AND p.asset = d.asset;
