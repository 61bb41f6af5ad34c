-- Each plane record: the slow values that upstream publishes, as they were taken; `value` as on the wire.
CREATE OR REPLACE VIEW planes AS
SELECT run_id, segment, topic, partition, log_offset, stream, name, seq,
    fromUnixTimestamp64Milli(ts_ms, 'UTC') AS ts, ts_ms, form,
    $plane_value AS value
FROM violet_planes FINAL;
