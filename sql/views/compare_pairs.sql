-- The pairs of each comparison: BLUE's trade and the run's decision, side by side, with why they differ.
-- class: empty where both leverages are the same bits. is_colocated: every pair is, so that questions of blue_pairs fit.
CREATE OR REPLACE VIEW compare_pairs AS
SELECT p.*, fromUnixTimestamp64Milli(p.entry_ts_ms, 'UTC') AS entry_ts,
    lanes['base'] AS base, lanes['dc'] AS dc, lanes['acb'] AS acb, lanes['ob'] AS ob, lanes['esof'] AS esof,
    recorded / journaled AS ratio, true AS is_colocated,
    ifNull(reinterpretAsUInt64(assumeNotNull(recorded)) = reinterpretAsUInt64(journaled) AND recorded IS NOT NULL, false)
        AS is_identical
FROM violet_compare_pairs AS p FINAL;
