-- One row a lane and scan: what the lane gave at the scan, and from which parts.
CREATE OR REPLACE VIEW lane_readings AS
SELECT run_id, stream, scan_id, ts, topic, partition, log_offset, actuated,
    reading.1 AS lane, reading.2 AS value, reading.3 AS components
FROM (
    SELECT *, arrayJoin($lane_readings) AS reading
    FROM (SELECT * FROM decisions UNION ALL SELECT * FROM evaluations)
);
