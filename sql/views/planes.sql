-- Each plane record: the slow values that upstream publishes, as they were taken; `value` as on the wire.
CREATE OR REPLACE VIEW planes AS
SELECT run_id, segment, topic, partition, log_offset, stream, name, seq,
    fromUnixTimestamp64Milli(ts_ms, 'UTC') AS ts, ts_ms, form,
    multiIf(
        name = 'posture', concat('{"posture":', toJSONString(toString(text)), '}'),
        name = 'ob' AND form = 'INPUTS',
        concat('{"eff_imb":', toString(x), ',"agree":', toString(y), ',"n_assets":', toString(z), '}'),
        concat('{"', multiIf(
            name IN ('acb', 'meta'), if(form = 'INPUTS', 'signals', 'boost'),
            name IN ('ob', 'esof'), if(form = 'INPUTS', 'score', 'mult'),
            name = 'mc', 'scale', name = 'capital', 'capital_usd', 'decide'
        ), '":', toString(x), '}')
    ) AS value
FROM violet_planes FINAL;
