-- Multipliers recovered from the sizes: which share lies within 0.01 of a haircut that is known, on either side.
-- to_base: leverage over the base lane (findings 8). to_esof: over base, dc, acb and ob, which leaves the haircut where no
-- bound held. Bands of findings 8: 0.3, 0.65, 0.8, 0.9, 1; 0.4 is the stale fallback.
CREATE OR REPLACE VIEW blue_recovery AS
SELECT run_id, label, band,
    countIf(what = 'recorded' AND over = 'base') AS recorded_to_base,
    countIf(what = 'journaled' AND over = 'base') AS journaled_to_base,
    countIf(what = 'recorded' AND over = 'esof') AS recorded_to_esof,
    countIf(what = 'journaled' AND over = 'esof') AS journaled_to_esof,
    recorded_to_base + journaled_to_base + recorded_to_esof + journaled_to_esof AS readings
FROM (
    SELECT run_id, label, reading.1 AS what, reading.2 AS over,
        multiIf(
            reading.3 > 1.01, 'above 1',
            notEmpty(arrayFilter(b -> abs(b - reading.3) <= 0.01, [0.3, 0.4, 0.65, 0.8, 0.9, 1.0]) AS bands),
            toString(bands[1]), 'between'
        ) AS band
    FROM (
        SELECT run_id, label, arrayJoin([
                ('recorded', 'base', recorded / base), ('journaled', 'base', journaled / base),
                ('recorded', 'esof', recorded / (base * dc * acb * ob)),
                ('journaled', 'esof', journaled / (base * dc * acb * ob))
            ]) AS reading
        FROM blue_pairs
        WHERE is_colocated AND recorded IS NOT NULL
    )
)
GROUP BY run_id, label, band;
