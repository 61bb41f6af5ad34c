-- BLUE's trades, cleaned: one row a trade. What was dropped stands in blue_dropped.
-- notes: LEGS_MISSING where other trades have legs and this one has none; LEGS_DIFFER where their pnl is another.
CREATE OR REPLACE VIEW blue_trades AS
SELECT t.label AS label, t.trade_id AS trade_id, t.asset AS asset, t.side AS side, t.scan_stream AS scan_stream,
    fromUnixTimestamp64Milli(t.entry_ts_ms, 'UTC') AS entry_ts, t.entry_ts_ms AS entry_ts_ms,
    fromUnixTimestamp64Milli(t.exit_ts_ms, 'UTC') AS exit_ts, t.exit_ts_ms AS exit_ts_ms,
    t.leverage AS leverage, t.vel_div AS vel_div, t.entry_price AS entry_price, t.exit_price AS exit_price,
    t.quantity AS quantity, t.capital_before AS capital_before,
    coalesce(t.notional_usd, t.entry_price * t.quantity) AS notional_usd,
    coalesce(t.notional_usd, t.entry_price * t.quantity) / t.capital_before AS notional_fraction,
    t.scan_id AS scan_id, t.lanes AS lanes, t.planes AS planes, t.posture AS posture, t.dc_status AS dc_status,
    t.version AS version, t.code_hash AS code_hash, t.config_hash AS config_hash,
    t.math_fingerprint AS math_fingerprint, t.marks AS marks,
    t.pnl AS pnl, t.bars_held AS bars_held, t.exit_reason AS exit_reason, t.trade_rows AS trade_rows,
    l.legs AS legs, if(l.legs = 0, NULL, l.pnl) AS legs_pnl,
    arrayFilter(note -> note != '', [
        if(l.legs = 0 AND sum(l.legs) OVER (PARTITION BY t.label) > 0, 'LEGS_MISSING', ''),
        if(l.legs > 0 AND ifNull(abs(t.pnl - l.pnl) > 0.005, false), 'LEGS_DIFFER', '')
    ]) AS notes,
    t.import_id AS import_id, t.row_number AS row_number
FROM (SELECT * FROM blue_cleaning WHERE reason = '') AS t
LEFT JOIN (SELECT label, trade_id, count() AS legs, sum(pnl) AS pnl FROM blue_legs GROUP BY label, trade_id) AS l
    ON t.label = l.label AND t.trade_id = l.trade_id;
