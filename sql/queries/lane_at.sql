-- What did each lane give at one scan? Takes --param scan=ID.
-- Columns: stream, ts (event time), log_offset, actuated (whether it decided), lane, value (its multiplier; base: its
--   leverage), components (what the value is made of).
-- Source: findings 8c ("tap any lane, ask what it said at bar N").
SELECT stream, ts, log_offset, actuated, lane, value, components
FROM lane_readings
WHERE run_id = {run:String} AND scan_id = {scan:Int64}
ORDER BY stream, log_offset, indexOf($lane_names, lane)
