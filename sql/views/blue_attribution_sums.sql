-- Each comparison's attribution, summed over its pairs: which lane moves the leverage, in which way, and how much of it.
-- Sums of logarithms and of leverages; pairs: those that could be attributed. moved: pairs whose term is not 0.
CREATE OR REPLACE VIEW blue_attribution_sums AS
SELECT compare_id, run_id, label, term, count() AS pairs, countIf(a.nominal != 0) AS moved_nominal,
    $sum{a.nominal}$ AS nominal, $sum{abs(a.nominal)}$ AS nominal_abs, $sum{a.nominal_leverage}$ AS nominal_leverage,
    countIf(a.effective != 0) AS moved_effective, $sum{a.effective}$ AS effective, $sum{abs(a.effective)}$ AS effective_abs,
    $sum{a.effective_leverage}$ AS effective_leverage, max(a.closure_ulp) AS closure_ulp_max
FROM blue_attribution AS a
WHERE status = 'ATTRIBUTED'
GROUP BY compare_id, run_id, label, term;
