-- Exits of parts of BLUE's trades, each content once.
CREATE OR REPLACE VIEW blue_legs AS
SELECT i.label AS label, l.trade_id AS trade_id, l.leg AS leg,
    fromUnixTimestamp64Milli(l.exit_ts_ms, 'UTC') AS exit_ts, l.exit_ts_ms AS exit_ts_ms, l.exit_price AS exit_price,
    l.quantity AS quantity, l.pnl AS pnl, l.exit_reason AS exit_reason, l.import_id AS import_id,
    l.row_number AS row_number, l.raw AS raw
FROM violet_blue_legs AS l FINAL
INNER JOIN (SELECT import_id, label, imported_at FROM blue_imports WHERE state = 'COMPLETE') AS i
    ON l.import_id = i.import_id
ORDER BY label, trade_id, l.content_hash, i.imported_at, import_id, row_number
LIMIT 1 BY label, trade_id, l.content_hash;
