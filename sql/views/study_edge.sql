-- Study of the edge: what BLUE's trades earned by the strength of the signal and by regime, as the decision beside each has it.
-- dimension: strength (below 1/3, below 2/3, below 1, saturated), acb, ob, esof (against 1), dc_status, bound, or all.
-- win_low, win_high: Wilson's interval of 95 % for one look at independent trades; a share of few trades is no edge.
-- Source: findings 6. Its regimes by BTC's average and by volatility are in no record of VIOLET.
CREATE OR REPLACE VIEW study_edge AS
SELECT run_id, label, 'trades of BLUE beside a decision' AS population,
    'cleaned; SHORT; a decision on the asset within 5 minutes; pnl recorded' AS filter,
    side.1 AS dimension, side.2 AS value, count() AS n, countIf(pnl > 0) AS wins, wins / n AS win_rate,
    $wilson_low{wins}{n}$ AS win_low, $wilson_high{wins}{n}$ AS win_high,
    $sum{pnl}$ AS pnl_usd, pnl_usd / n AS pnl_avg_usd
FROM (
    SELECT run_id, toString(label) AS label, assumeNotNull(pnl) AS pnl,
        least(1, greatest(0, (-0.02 - assumeNotNull(vel_div)) / (-0.02 - -0.05))) AS s,
        [
            ('all', 'all'),
            ('strength', multiIf(s < 1 / 3, '0 to 1/3', s < 2 / 3, '1/3 to 2/3', s < 1, '2/3 to 1', 'saturated')),
            ('acb', transform(sign(assumeNotNull(acb) - 1), [-1, 0, 1], ['below 1', '1', 'above 1'], '')),
            ('ob', transform(sign(assumeNotNull(ob) - 1), [-1, 0, 1], ['below 1', '1', 'above 1'], '')),
            ('esof', transform(sign(assumeNotNull(esof) - 1), [-1, 0, 1], ['below 1', '1', 'above 1'], '')),
            ('dc_status', toString(assumeNotNull(dc_status))), ('bound', toString(assumeNotNull(bound)))
        ] AS sides
    FROM blue_pairs
    WHERE is_colocated AND pnl IS NOT NULL
)
ARRAY JOIN sides AS side
GROUP BY run_id, label, dimension, value;
