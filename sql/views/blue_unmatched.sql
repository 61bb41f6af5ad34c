-- Trades of BLUE without a decision on their asset within 5 minutes, and why: the first of these that holds.
-- NOT_SHORT, EXCLUDED (a pegged symbol), NO_SCAN, OTHER_ASSET (decided, on another), NO_ASSET (a signal, none eligible),
-- CADENCE, NO_SIGNAL, REPEAT.
CREATE OR REPLACE VIEW blue_unmatched AS
WITH
    lost AS (SELECT * FROM blue_pairs WHERE NOT is_colocated),
    scans AS (
        SELECT run_id, stream, ts_ms, toString(asset) AS asset, reasons, true AS decided FROM violet_decisions FINAL
        UNION ALL
        SELECT run_id, stream, ts_ms, '' AS asset, reasons, false AS decided FROM violet_evaluations FINAL
    ),
    close AS (
        SELECT l.run_id AS run_id, l.label AS label, l.trade_id AS trade_id, count() AS scans,
            groupUniqArrayIf(s.asset, s.decided) AS decided, groupBitOr(s.reasons) AS reasons
        FROM (
            SELECT run_id, label, trade_id, book, entry_ts_ms,
                arrayJoin([-1, 0, 1]) + intDiv(entry_ts_ms, 300000) AS slot
            FROM lost
        ) AS l
        INNER JOIN (SELECT *, intDiv(ts_ms, 300000) AS slot FROM scans) AS s ON l.run_id = s.run_id AND l.slot = s.slot
        WHERE abs(s.ts_ms - l.entry_ts_ms) <= 300000 AND l.book IN ('', s.stream)
        GROUP BY run_id, label, trade_id
    ),
    pegged AS (
        SELECT run_id, groupUniqArrayArray(JSONExtract(params, 'select', 'excluded', 'Array(String)')) AS excluded
        FROM segments
        GROUP BY run_id
    )
SELECT l.run_id AS run_id, l.label AS label, l.trade_id AS trade_id, l.asset AS asset, l.side AS side,
    l.entry_ts AS entry_ts, l.recorded AS recorded, l.gap_ms AS gap_ms, c.scans AS scans, c.decided AS decided,
    multiIf(
        l.side != 'SHORT', 'NOT_SHORT',
        has(x.excluded, l.asset), 'EXCLUDED',
        c.scans = 0, 'NO_SCAN',
        notEmpty(c.decided), 'OTHER_ASSET',
        bitTest(c.reasons, 3), 'NO_ASSET',
        bitTest(c.reasons, 2), 'CADENCE',
        bitTest(c.reasons, 1), 'NO_SIGNAL',
        'REPEAT'
    ) AS why
FROM lost AS l
LEFT JOIN close AS c ON l.run_id = c.run_id AND l.label = c.label AND l.trade_id = c.trade_id
LEFT JOIN pegged AS x ON l.run_id = x.run_id;
