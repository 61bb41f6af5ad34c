-- The buckets of vel_div, shallow ones first: a value is in the first whose lower bound it lies above.
-- From -0.05 on the cubic is saturated.
-- Source: findings 8.
CREATE OR REPLACE VIEW vel_div_buckets AS
SELECT [
    (-0.03, '-0.02 to -0.03'), (-0.04, '-0.03 to -0.04'), (-0.05, '-0.04 to -0.05'), (-0.06, '-0.05 to -0.06'),
    (-inf, '-0.06 and below')
] AS buckets;
