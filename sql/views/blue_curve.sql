-- The median curve: recorded and journaled leverage, and the base lane, by step of 0.0025 in vel_div down to -0.06.
-- vel_div_from: where the step begins, rounded so that -0.06 itself is in its own; the last holds everything deeper.
-- Source: findings 3.
CREATE OR REPLACE VIEW blue_curve AS
SELECT run_id, label, -0.02 - 0.0025 * least(16., floor(round((-0.02 - vel_div) / 0.0025, 9))) AS vel_div_from,
    count() AS n,
    quantileExactInclusive(0.5)(recorded) AS recorded_median,
    quantileExactInclusive(0.5)(journaled) AS journaled_median,
    quantileExactInclusive(0.5)(base) AS base_median
FROM blue_pairs
WHERE is_colocated AND recorded IS NOT NULL
GROUP BY run_id, label, vel_div_from;
