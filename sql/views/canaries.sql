-- What a lane's candidates gave beside the lane: one row a scan and candidate. It decides nothing.
CREATE OR REPLACE VIEW canaries AS
SELECT run_id, lane, params_hash, kernel_hash, params, stream, scan_id, fromUnixTimestamp64Milli(ts_ms, 'UTC') AS ts, topic,
    partition, log_offset, actuated, value, candidate, leverage, candidate_leverage, fault
FROM violet_canaries FINAL;
