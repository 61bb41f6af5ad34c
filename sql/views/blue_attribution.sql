-- Each pair of a comparison, term by term: what a lane adds to ln(ours / theirs) of the leverage.
-- nominal: ln of the lane's two values, and `clamp` for floor, caps and rounding; computed here, an exact identity. effective:
-- Shapley's value through the fan-in, as the comparison stored it; 0 where both leverages are the same bits.
-- A pair that cannot be attributed is one row without a term: UNATTRIBUTABLE where BLUE did not record a lane or its
-- leverage, ZERO where one leverage alone is 0. closure_ulp: what the nominal terms miss, in ulp of the largest.
-- Source: the formulas, limits at zero and papers are those of journal/blue/attribution.py.
CREATE OR REPLACE VIEW blue_attribution AS
WITH
    named AS (
        SELECT *, arrayFilter(lane -> mapContains(lanes, lane), $lane_names) AS names,
            arrayMap(lane -> lanes[lane], names) AS o, arrayMap(lane -> recorded_lanes[lane], names) AS t,
            ifNull(recorded, nan) AS r,
            arrayFold((made, x) -> made * if(x = 0, 1., x), o, toFloat64(1)) AS product_o,
            arrayFold((made, x) -> made * if(x = 0, 1., x), t, toFloat64(1)) AS product_t
        FROM compare_pairs
    ),
    logs AS (
        SELECT *,
            arrayMap(
                (a, b) -> multiIf(a = b, 0., a >= 0.5 * b AND 0.5 * a <= b, log1p((a - b) / b), log(a) - log(b)),
                arrayConcat(o, [journaled, r, journaled]), arrayConcat(t, [product_o, product_t, r])
            ) AS ratios,
            ratios[-3] AS held_o, ratios[-2] AS held_t,
            arrayCount((a, b) -> a = 0 AND b != 0, o, t) AS zeros_o, arrayCount((a, b) -> b = 0 AND a != 0, o, t) AS zeros_t
        FROM named
    ),
    parts AS (
        SELECT *,
            arrayPushBack(
                arrayMap(
                    (a, b, ratio) -> multiIf(a = b, 0., a = 0, held_o / zeros_o - log(b), b = 0, log(a) - held_t / zeros_t, ratio),
                    o, t, arraySlice(ratios, 1, length(names))
                ),
                if(zeros_o > 0, 0., held_o) - if(zeros_t > 0, 0., held_t)
            ) AS raw_terms,
            multiIf(
                arrayExists(lane -> NOT mapContains(recorded_lanes, lane), names) OR arrayExists(b -> NOT b >= 0, t)
                    OR NOT r >= 0, 'UNATTRIBUTABLE',
                (journaled = 0) != (r = 0), 'ZERO',
                r != 0 AND arrayExists(x -> NOT isFinite(x), raw_terms), 'UNATTRIBUTABLE',
                'ATTRIBUTED'
            ) AS status,
            ratios[-1] AS whole,
            if(r = 0, arrayMap(x -> 0., raw_terms), raw_terms) AS terms,
            indexOf(arrayMap(x -> abs(x), terms), arrayMax(arrayMap(x -> abs(x), terms))) AS largest,
            arrayFold(
                (sum, x) -> (sum.1 + x, sum.2 + (sum.1 - ((sum.1 + x) - ((sum.1 + x) - sum.1))) + (x - ((sum.1 + x) - sum.1))),
                terms, (-whole, toFloat64(0))
            ) AS added
        FROM logs
    ),
    closed AS (
        SELECT *, arrayMap((x, at) -> if(at = largest, x - (added.1 + added.2), x), terms, arrayEnumerate(terms)) AS nominals,
            arrayFold(
                (sum, x) -> (sum.1 + x, sum.2 + (sum.1 - ((sum.1 + x) - ((sum.1 + x) - sum.1))) + (x - ((sum.1 + x) - sum.1))),
                nominals, (-whole, toFloat64(0))
            ) AS left_over,
            greatest(abs(whole), arrayMax(arrayMap(x -> abs(x), nominals))) AS scale,
            status = 'ATTRIBUTED' AS has, arrayConcat(names, ['clamp', 'posture', 'fanin']) AS all
        FROM parts
    )
SELECT compare_id, run_id, label, trade_id, asset, entry_ts, stream, scan_id, bound, is_identical, status,
    if(has, whole, NULL) AS log_ratio,
    if(has, abs(left_over.1 + left_over.2) / (reinterpretAsFloat64(reinterpretAsUInt64(scale) + 1) - scale), NULL) AS closure_ulp,
    each.1 AS term, if(mapContains(lanes, term), lanes[term], NULL) AS ours,
    if(mapContains(recorded_lanes, term), recorded_lanes[term], NULL) AS theirs,
    if(term IN ('', 'posture', 'fanin'), NULL, each.2) AS nominal,
    if(term IN ('', 'clamp') OR NOT (is_identical OR mapContains(effective, term)), NULL, effective[term]) AS effective,
    multiIf(whole = 0, journaled, (journaled - r) / whole) AS log_mean,
    nominal * log_mean AS nominal_leverage, effective * log_mean AS effective_leverage
FROM closed
LEFT ARRAY JOIN if(has, arrayZip(all, arrayConcat(nominals, [0., 0.])), []) AS each;
