-- 0015 blue legs: exits of parts of BLUE's trades, as they came.
-- Why: a trade's real exits live in a table of their own.  Pairs: journal/blue/intake.py LEG  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_blue_legs (
    import_id String,
    row_number UInt64,
    trade_id String,
    content_hash String,
    leg Nullable(Int64),
    exit_ts_ms Int64,
    exit_price Nullable(Float64),
    quantity Nullable(Float64),
    pnl Nullable(Float64),
    exit_reason String,
    raw String CODEC(ZSTD),
    CONSTRAINT identity CHECK notEmpty(trade_id),
    CONSTRAINT time CHECK exit_ts_ms >= 1230768000000 AND exit_ts_ms < 4102444800000
) ENGINE = ReplacingMergeTree
ORDER BY (import_id, row_number)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
