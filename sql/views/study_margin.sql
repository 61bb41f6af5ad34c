-- Study of margin: would the sizes have fit into the wallet of an exchange, one at a time, at each policy of its leverage?
-- policy: flat L; linear to C: 1 + (c - 0.5) / 8.5 * (C - 1), cubic to C: 1 + ((c - 0.5) / 8.5) ^ 3 * (C - 1), c the conviction
-- within 0.5 to 9, rounded half to even. fits: notional within capital * exchange leverage. used: margin as a share of it.
-- Source: findings 2 (both leverages) and 4. What is not used is no free room: see study_fraction.
CREATE OR REPLACE VIEW study_margin AS
SELECT run_id, label, population, filter, policy, count() AS n, countIf(size <= exchange) AS fits, fits / n AS share,
    quantileExactInclusive(0.5)(exchange) AS exchange_median,
    quantileExactInclusive(0.5)(size / exchange) AS used_median,
    quantileExactInclusive(0.95)(size / exchange) AS used_p95, max(size / exchange) AS used_max
FROM (
    SELECT run_id, label, population, filter, size, way.1 AS policy, assumeNotNull(way.2) AS exchange
    FROM (
        SELECT run_id, '' AS label, 'decisions of the run' AS population, 'every one' AS filter,
            notional_fraction AS size, CAST(leverage_fanin, 'Nullable(Float64)') AS conviction
        FROM decisions
        UNION ALL
        SELECT '' AS run_id, toString(label) AS label, 'trades of BLUE' AS population,
            'cleaned; notional and capital recorded' AS filter, assumeNotNull(notional_fraction) AS size,
            leverage AS conviction
        FROM blue_trades
        WHERE notional_fraction IS NOT NULL
    )
    ARRAY JOIN arrayConcat(
        arrayMap(L -> (concat('flat ', toString(L)), CAST(L, 'Nullable(Float64)')), [1, 2, 3]),
        arrayMap(
            C -> (concat('linear to ', toString(C)),
                roundBankers(1 + (least(9., greatest(0.5, conviction)) - 0.5) / 8.5 * (C - 1))),
            [3, 5, 10, 20]
        ),
        [('cubic to 3', roundBankers(1 + pow((least(9., greatest(0.5, conviction)) - 0.5) / 8.5, 3) * 2))]
    ) AS way
    WHERE way.2 IS NOT NULL
)
GROUP BY run_id, label, population, filter, policy;
