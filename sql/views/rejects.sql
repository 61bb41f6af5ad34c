-- Records that could not be used: the code, what is known of them, and their bytes.
CREATE OR REPLACE VIEW rejects AS
SELECT run_id, segment, topic, partition, log_offset, code, lane, kind, stream,
    if(scan_id < 0, NULL, scan_id) AS scan_id, if(ts_ms < 0, NULL, ts_ms) AS ts_ms, bytes, digest, raw,
    notEmpty(raw_sha) AS raw_dropped, detail
FROM violet_rejects FINAL;
