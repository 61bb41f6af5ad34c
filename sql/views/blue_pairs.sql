-- Each kept trade of BLUE beside the nearest decision on its asset, for every run whose scans surround it.
-- Nearest by time; of two as near the earlier, of two at one instant the first in the log. A trade that names its
-- stream is paired within it. gap_ms: decision minus entry, NULL where the run never decided on the asset, or not SHORT.
-- Source: findings 9 (same asset, within 5 minutes).
CREATE OR REPLACE VIEW blue_pairs AS
WITH
    spans AS (
        SELECT run_id, min(ts_ms) AS first_ms, max(ts_ms) AS last_ms
        FROM (SELECT run_id, ts_ms FROM violet_decisions UNION ALL SELECT run_id, ts_ms FROM violet_evaluations)
        GROUP BY run_id
    ),
    asked AS (
        SELECT r.run_id AS run_id, t.*, if(t.side = 'SHORT', t.asset, '') AS wanted
        FROM blue_trades AS t
        CROSS JOIN spans AS r
        WHERE t.entry_ts_ms BETWEEN r.first_ms AND r.last_ms
    ),
    made AS (
        SELECT run_id, asset, arrayJoin(['', stream]) AS book, ts_ms,
            argMin(
                (stream, scan_id, vel_div, base, dc, acb_boost * meta_boost * mc_scale, ob, esof, dc_status, bound,
                    leverage_fanin, leverage),
                (topic, partition, log_offset)
            ) AS said
        FROM violet_decisions FINAL
        WHERE (run_id, asset) IN (SELECT run_id, wanted FROM asked)
        GROUP BY run_id, asset, book, ts_ms
    )
SELECT t.run_id AS run_id, t.label AS label, t.trade_id AS trade_id, t.asset AS asset, t.side AS side,
    t.scan_stream AS book, t.entry_ts AS entry_ts, t.entry_ts_ms AS entry_ts_ms, t.leverage AS recorded, t.vel_div AS recorded_vel_div,
    t.pnl AS pnl, t.notes AS notes,
    b.run_id != '' AS is_before, a.run_id != '' AS is_after,
    is_before AND (NOT is_after OR t.entry_ts_ms - b.ts_ms <= a.ts_ms - t.entry_ts_ms) AS is_earlier,
    if(is_before OR is_after, if(is_earlier, b.ts_ms, a.ts_ms) - t.entry_ts_ms, NULL) AS gap_ms,
    ifNull(abs(gap_ms) <= 300000, false) AS is_colocated,
    if(is_earlier, b.said, a.said) AS said,
    if(is_colocated, said.1, NULL) AS stream, if(is_colocated, said.2, NULL) AS scan_id,
    if(is_colocated, said.3, NULL) AS vel_div, if(is_colocated, said.4, NULL) AS base,
    if(is_colocated, said.5, NULL) AS dc, if(is_colocated, said.6, NULL) AS acb, if(is_colocated, said.7, NULL) AS ob,
    if(is_colocated, said.8, NULL) AS esof, if(is_colocated, said.9, NULL) AS dc_status,
    if(is_colocated, said.10, NULL) AS bound, if(is_colocated, said.11, NULL) AS leverage_fanin,
    if(is_colocated, said.12, NULL) AS journaled,
    recorded / journaled AS ratio,
    reinterpretAsUInt64(assumeNotNull(recorded)) = reinterpretAsUInt64(assumeNotNull(journaled))
        AND recorded IS NOT NULL AND journaled IS NOT NULL AS is_identical
FROM asked AS t
ASOF LEFT JOIN made AS b
    ON t.run_id = b.run_id AND t.wanted = b.asset AND t.scan_stream = b.book AND t.entry_ts_ms >= b.ts_ms
ASOF LEFT JOIN made AS a
    ON t.run_id = a.run_id AND t.wanted = a.asset AND t.scan_stream = a.book AND t.entry_ts_ms < a.ts_ms;
