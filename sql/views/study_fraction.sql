-- Study of the base fraction: how much of a wallet at exchange leverage 3 would be used if the fraction were another.
-- fraction: of the capital, times leverage. used_median_unhaircut: with esof taken as 1 and the same bounds. NULL of
-- trades, and under sc_post, where the haircut stands behind the bounds.
-- Source: findings 4 and 5.
CREATE OR REPLACE VIEW study_fraction AS
SELECT run_id, label, population, filter, fraction, count() AS n, countIf(fraction * sized <= 3) AS fits, fits / n AS share,
    quantileExactInclusive(0.5)(fraction * sized / 3) AS used_median,
    quantileExactInclusive(0.95)(fraction * sized / 3) AS used_p95, max(fraction * sized / 3) AS used_max,
    if(count(unhaircut) = n, quantileExactInclusiveOrNull(0.5)(fraction * unhaircut / 3), NULL) AS used_median_unhaircut,
    'The part of the wallet that is not used is mostly the haircut, which lowers risk on purpose: it is no free room.' AS caveat
FROM (
    SELECT d.run_id AS run_id, '' AS label, 'decisions of the run' AS population, 'every one' AS filter,
        d.leverage AS sized,
        if(s.is_after, NULL, greatest(s.min_lev, least(
            base * dc * acb * ob, s.base_max * acb * ob, s.abs_max, if(posture = 'STALKER', s.stalker_cap, inf)
        ))) AS unhaircut
    FROM decisions AS d
    LEFT ANY JOIN (
        SELECT run_id, segment, JSONExtractFloat(params, 'base', 'min_lev') AS min_lev,
            JSONExtractFloat(params, 'base', 'base_max') AS base_max, JSONExtractFloat(params, 'fanin', 'abs_max') AS abs_max,
            ifNull(JSONExtract(params, 'fanin', 'stalker_cap', 'Nullable(Float64)'), inf) AS stalker_cap,
            JSONExtractString(params, 'esof', 'application') = 'sc_post' AS is_after
        FROM segments
    ) AS s ON d.run_id = s.run_id AND d.segment = s.segment
    UNION ALL
    SELECT '' AS run_id, toString(label) AS label, 'trades of BLUE' AS population,
        'cleaned; leverage recorded' AS filter, assumeNotNull(leverage) AS sized, NULL AS unhaircut
    FROM blue_trades
    WHERE leverage IS NOT NULL
)
ARRAY JOIN [0.1, 0.15, 0.2, 0.25, 0.3, 0.4] AS fraction
GROUP BY run_id, label, population, filter, fraction;
