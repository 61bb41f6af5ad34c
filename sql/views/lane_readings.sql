-- One row a lane and scan: what did this lane say at this scan, and from which parts.
CREATE OR REPLACE VIEW lane_readings AS
SELECT run_id, stream, scan_id, ts, topic, partition, log_offset, actuated,
    reading.1 AS lane, reading.2 AS value, reading.3 AS components
FROM (
    SELECT *, arrayJoin([
        ('base', base, map('strength', strength, 'vel_div', vel_div)),
        ('dc', dc, map('confirm', toFloat64(dc_status = 'CONFIRM'))),
        ('acb', acb, map('acb_boost', acb_boost, 'meta_boost', meta_boost, 'mc_scale', mc_scale)),
        ('ob', ob, map('mult', ob)),
        ('esof', esof, map('esof_fanin', esof_fanin, 'sc_mult', sc_mult))
    ]) AS reading
    FROM (SELECT * FROM decisions UNION ALL SELECT * FROM evaluations)
);
