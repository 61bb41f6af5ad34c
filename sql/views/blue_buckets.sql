-- Recorded against journaled leverage of co-located trades, by bucket of the decision's vel_div and by dc_status.
-- 'all' stands for every one. A bucket begins at its first bound, that included: from -0.05 on the cubic is saturated.
-- Source: findings 8 (buckets), 3 (pearson, largest error).
CREATE OR REPLACE VIEW blue_buckets AS
SELECT run_id, label,
    if(grouping(bucket) = 1, 'all', bucket) AS vel_div,
    if(grouping(status) = 1, 'all', status) AS dc_status,
    count() AS n,
    sum(is_identical) AS identical,
    quantileExactInclusive(0.5)(recorded) AS recorded_median,
    quantileExactInclusive(0.5)(journaled) AS journaled_median,
    quantileExactInclusive(0.5)(ratio) AS ratio_median,
    min(ratio) AS ratio_min,
    max(ratio) AS ratio_max,
    corrStable(assumeNotNull(recorded), assumeNotNull(journaled)) AS pearson,
    max(abs(recorded - journaled)) AS max_abs_err,
    countIf(ratio > 1.05) / n AS share_above,
    countIf(ratio < 0.95) / n AS share_below
FROM (
    SELECT *, toString(dc_status) AS status,
        arrayFirst(each -> assumeNotNull(vel_div) > each.1, (SELECT buckets FROM vel_div_buckets)).2 AS bucket
    FROM blue_pairs
    WHERE is_colocated AND recorded IS NOT NULL
)
GROUP BY GROUPING SETS ((run_id, label, bucket, status), (run_id, label, bucket), (run_id, label));
