-- Study of the curve: how near an 8-curve comes to the 9-curve when a boost multiplies it and 9 caps it, by vel_div.
-- A median curve alone cannot tell "maximum 9" from "8 times a boost of about 1.155": lanes and buckets must be compared.
-- Source: findings 3 (Pearson 0.9998, largest error 0.238) and 8b (the maximum is 8).
CREATE OR REPLACE VIEW study_curve AS
SELECT 'vel_div from -0.02 to -0.06' AS population, '4,001 even steps; no record is read' AS filter, boost, count() AS n,
    corrStable(nine, eight) AS pearson, max(abs(nine - eight)) AS max_abs_err, countIf(eight / nine > 1.05) / n AS share_above
FROM (
    SELECT pow(least(1., number / 3000), 3) AS cube, 0.5 + cube * 8.5 AS nine, boost,
        least(9., (0.5 + cube * 7.5) * boost) AS eight
    FROM numbers(4001)
    ARRAY JOIN [1., 1.05, 1.1, 1.125, 1.15, 1.155, 1.1555, 1.16, 1.2, 1.35] AS boost
)
GROUP BY boost;
