-- 0014 blue trades: BLUE's trade rows as they came, duplicates and all, with what the mapping made of them.
-- Why: cleaning is a view, so that every dropped row stays.  Pairs: journal/blue/intake.py TRADE  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_blue_trades (
    import_id String,
    row_number UInt64,
    trade_id String,
    content_hash String,
    asset LowCardinality(String),
    side LowCardinality(String),
    scan_stream LowCardinality(String),
    entry_ts_ms Int64,
    exit_ts_ms Nullable(Int64),
    leverage Nullable(Float64),
    vel_div Nullable(Float64),
    entry_price Nullable(Float64),
    exit_price Nullable(Float64),
    quantity Nullable(Float64),
    capital_before Nullable(Float64),
    notional_usd Nullable(Float64),
    pnl Nullable(Float64),
    bars_held Nullable(Int64),
    exit_reason String,
    raw String CODEC(ZSTD),
    CONSTRAINT identity CHECK notEmpty(trade_id) AND notEmpty(asset),
    CONSTRAINT side CHECK side IN ('SHORT', 'LONG'),
    CONSTRAINT time CHECK entry_ts_ms >= 1230768000000 AND entry_ts_ms < 4102444800000
) ENGINE = ReplacingMergeTree
ORDER BY (import_id, row_number)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
