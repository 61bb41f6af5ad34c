-- Each plane record: the slow values that upstream publishes, as they were taken.
CREATE OR REPLACE VIEW planes AS
SELECT run_id, segment, topic, partition, log_offset, stream, name, seq,
    fromUnixTimestamp64Milli(ts_ms, 'UTC') AS ts, ts_ms, value
FROM violet_planes FINAL;
