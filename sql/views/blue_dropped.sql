-- Rows of BLUE's trades that do not count, each with its reason and as it came.
CREATE OR REPLACE VIEW blue_dropped AS
SELECT label, trade_id, reason, asset, fromUnixTimestamp64Milli(entry_ts_ms, 'UTC') AS entry_ts, entry_ts_ms,
    exit_ts_ms, leverage, pnl, bars_held, exit_reason, import_id, row_number, raw
FROM blue_cleaning
WHERE reason != '';
