-- Study of the upward tail: where is the leverage more than 5 % above what the base lane alone gives, and which lane was above 1?
-- vel_div: bucket of the decision, its first bound included; all: every one. of_acb, of_dc, of_ob: of those above, where that
-- lane was above 1 (several may be).
-- Source: findings 8.
CREATE OR REPLACE VIEW study_tail AS
SELECT run_id, label, population, filter, bucket AS vel_div, count() AS n, countIf(ratio > 1.05) AS above,
    above / n AS share_above, countIf(ratio < 0.95) AS below, quantileExactInclusive(0.5)(ratio) AS ratio_median,
    max(ratio) AS ratio_max, countIf(ratio > 1.05 AND acb > 1) AS of_acb, countIf(ratio > 1.05 AND dc > 1) AS of_dc,
    countIf(ratio > 1.05 AND ob > 1) AS of_ob
FROM (
    SELECT run_id, '' AS label, 'decisions of the run' AS population, 'every one' AS filter, leverage / base AS ratio,
        acb, dc, ob,
        ['all', arrayFirst(each -> d.vel_div > each.1, (SELECT buckets FROM vel_div_buckets)).2] AS buckets
    FROM decisions AS d
    UNION ALL
    SELECT run_id, toString(label) AS label, 'trades of BLUE beside a decision' AS population,
        'cleaned; SHORT; a decision on the asset within 5 minutes; leverage recorded' AS filter,
        assumeNotNull(recorded / base) AS ratio, assumeNotNull(acb) AS acb, assumeNotNull(dc) AS dc,
        assumeNotNull(ob) AS ob,
        ['all', arrayFirst(each -> assumeNotNull(p.vel_div) > each.1, (SELECT buckets FROM vel_div_buckets)).2] AS buckets
    FROM blue_pairs AS p
    WHERE is_colocated AND recorded IS NOT NULL
)
ARRAY JOIN buckets AS bucket
GROUP BY run_id, label, population, filter, vel_div;
