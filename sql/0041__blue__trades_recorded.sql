-- 0041 blue trades: what BLUE recorded beside a trade: its scan, lanes, planes, posture, marks, and what it says of itself.
-- Why: a difference is attributed to a lane and classed by the planes that BLUE saw.  Pairs: journal/blue/recorded.py  Rollback: none needed; an older version writes none of them.
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS scan_id Nullable(Int64) AFTER exit_reason;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS lanes Map(LowCardinality(String), Float64) AFTER scan_id;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS planes String CODEC(ZSTD) AFTER lanes;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS posture LowCardinality(String) AFTER planes;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS dc_status LowCardinality(String) AFTER posture;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS version LowCardinality(String) AFTER dc_status;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS code_hash LowCardinality(String) AFTER version;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS config_hash LowCardinality(String) AFTER code_hash;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS math_fingerprint LowCardinality(String) AFTER config_hash;
ALTER TABLE violet_blue_trades ADD COLUMN IF NOT EXISTS marks Array(LowCardinality(String)) AFTER math_fingerprint;
