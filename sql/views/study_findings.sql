-- Figures of the findings that follow from formulas, computed again. said: what the findings have.
-- Bounds of shares are Wilson's of 95 %: for one look at independent trials, as the findings took them.
-- Source: findings 2, 3, 4, 6 and 9.
CREATE OR REPLACE VIEW study_findings AS
SELECT 'formulas of the findings' AS population, 'no record is read' AS filter, row.1 AS what, row.2 AS said,
    row.3 AS figure
FROM (
    SELECT arrayJoin([
        ('Pearson of 8 x 1.155 capped at 9, against the 9-curve', '0.9998', c.pearson),
        ('largest error of the same', '0.238', c.max_abs_err),
        ('largest notional, of capital: 0.2 x 9', '1.80', 0.2 * 9),
        ('wallet used by a notional of 1.81 at exchange leverage 2', '90 %', 1.81 / 2),
        ('profit a trade below BTC\'s average, against above', '2.25', 28.4 / 12.6),
        ('ZEC halt, of the raw loss', '85 %', 39164 / 45981),
        ('bad rows, 0 of 4,878: at most', '0', $wilson_high{0}{4878}$),
        ('co-located trades, 69 of 69: at least', '100 %', $wilson_low{69}{69}$),
        ('equal candidates, 30 of 30: at least', '30 of 30', $wilson_low{30}{30}$)
    ]) AS row
    FROM (SELECT * FROM study_curve WHERE boost = 1.155) AS c
);
