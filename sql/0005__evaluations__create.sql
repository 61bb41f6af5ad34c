-- 0005 evaluations: every other scan, with the same lane columns and its reason.
-- Why: an outcome of an offset.  Pairs: journal/row.py SCORED  Rollback: drop the table.
CREATE TABLE IF NOT EXISTS violet_evaluations (
    run_id LowCardinality(String),
    segment UInt32,
    topic LowCardinality(String),
    partition UInt32,
    log_offset Int64,
    stream LowCardinality(String),
    scan_id Int64,
    ts_ms Int64 CODEC(Delta, LZ4),
    asset LowCardinality(String),
    posture LowCardinality(String),
    dc_status Enum8('NEUTRAL' = 0, 'CONFIRM' = 1, 'CONTRADICT' = 2, 'UNKNOWN' = 3),
    bound Enum8('PRODUCT' = 0, 'CAP' = 1, 'ABS' = 2, 'STALKER' = 3, 'FLOOR' = 4),
    reasons UInt64,
    vel_div Float64,
    w750 Float64,
    strength Float64,
    base Float64,
    dc Float64,
    acb_boost Float64,
    meta_boost Float64,
    mc_scale Float64,
    ob Float64,
    esof Float64,
    esof_fanin Float64,
    cap Float64,
    leverage_fanin Float64,
    sc_mult Float64,
    leverage Float64,
    fraction Float64,
    capital_usd Float64,
    notional_usd Float64,
    params_hash LowCardinality(String),
    CONSTRAINT finite CHECK isFinite(vel_div) AND isFinite(strength) AND isFinite(base) AND isFinite(dc) AND isFinite(acb_boost) AND isFinite(meta_boost) AND isFinite(mc_scale) AND isFinite(ob) AND isFinite(esof) AND isFinite(esof_fanin) AND isFinite(cap) AND isFinite(leverage_fanin) AND isFinite(sc_mult) AND isFinite(leverage) AND isFinite(fraction) AND isFinite(capital_usd) AND isFinite(notional_usd),
    CONSTRAINT time CHECK ts_ms >= 1230768000000 AND ts_ms < 4102444800000,
    CONSTRAINT identity CHECK scan_id >= 0 AND log_offset >= 0 AND notEmpty(stream),
    CONSTRAINT multipliers CHECK dc >= 0 AND acb_boost >= 0 AND meta_boost >= 0 AND mc_scale >= 0 AND ob >= 0 AND esof >= 0 AND capital_usd > 0,
    CONSTRAINT actuated CHECK empty(asset) AND bitAnd(reasons, 15) != 0
) ENGINE = ReplacingMergeTree
PARTITION BY run_id
ORDER BY (run_id, topic, partition, log_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
