-- Each scan and reject of a replay beside the original's of the same offset; `differs` names the columns that differ.
-- Bits are compared, and only of outcomes: params_hash is not among them. A reject has no lanes, so its columns are NULL.
CREATE OR REPLACE VIEW replays AS
SELECT
    r.run_id AS run_id,
    o.run_id AS original_run_id,
    r.topic AS topic,
    r.partition AS partition,
    r.log_offset AS log_offset,
    r.stream AS stream,
    r.scan_id AS scan_id,
    r.ts AS ts,
    r.vel_div AS vel_div,
    arrayConcat(
        if(o.outcome != r.outcome, ['outcome'], []),
        if(o.code != r.code, ['code'], []),
        arrayFilter(
            (name, same) -> NOT same,
            ['asset', 'strength', 'base', 'dc', 'acb_boost', 'meta_boost', 'mc_scale', 'acb', 'ob', 'esof',
            'esof_fanin', 'raw', 'cap', 'bound', 'leverage_fanin', 'sc_mult', 'leverage', 'fraction', 'capital_usd',
            'notional_usd', 'notional_fraction', 'posture', 'reasons'],
            [
                ifNull(o.asset = r.asset, true),
                ifNull(reinterpretAsUInt64(o.strength) = reinterpretAsUInt64(r.strength), true),
                ifNull(reinterpretAsUInt64(o.base) = reinterpretAsUInt64(r.base), true),
                ifNull(reinterpretAsUInt64(o.dc) = reinterpretAsUInt64(r.dc), true),
                ifNull(reinterpretAsUInt64(o.acb_boost) = reinterpretAsUInt64(r.acb_boost), true),
                ifNull(reinterpretAsUInt64(o.meta_boost) = reinterpretAsUInt64(r.meta_boost), true),
                ifNull(reinterpretAsUInt64(o.mc_scale) = reinterpretAsUInt64(r.mc_scale), true),
                ifNull(reinterpretAsUInt64(o.acb) = reinterpretAsUInt64(r.acb), true),
                ifNull(reinterpretAsUInt64(o.ob) = reinterpretAsUInt64(r.ob), true),
                ifNull(reinterpretAsUInt64(o.esof) = reinterpretAsUInt64(r.esof), true),
                ifNull(reinterpretAsUInt64(o.esof_fanin) = reinterpretAsUInt64(r.esof_fanin), true),
                ifNull(reinterpretAsUInt64(o.raw) = reinterpretAsUInt64(r.raw), true),
                ifNull(reinterpretAsUInt64(o.cap) = reinterpretAsUInt64(r.cap), true),
                ifNull(o.bound = r.bound, true),
                ifNull(reinterpretAsUInt64(o.leverage_fanin) = reinterpretAsUInt64(r.leverage_fanin), true),
                ifNull(reinterpretAsUInt64(o.sc_mult) = reinterpretAsUInt64(r.sc_mult), true),
                ifNull(reinterpretAsUInt64(o.leverage) = reinterpretAsUInt64(r.leverage), true),
                ifNull(reinterpretAsUInt64(o.fraction) = reinterpretAsUInt64(r.fraction), true),
                ifNull(reinterpretAsUInt64(o.capital_usd) = reinterpretAsUInt64(r.capital_usd), true),
                ifNull(reinterpretAsUInt64(o.notional_usd) = reinterpretAsUInt64(r.notional_usd), true),
                ifNull(reinterpretAsUInt64(o.notional_fraction) = reinterpretAsUInt64(r.notional_fraction), true),
                ifNull(o.posture = r.posture, true),
                o.reasons = r.reasons
            ]
        )
    ) AS differs,
    o.outcome AS outcome, r.outcome AS outcome_replayed,
    o.code AS code, r.code AS code_replayed,
    o.asset AS asset, r.asset AS asset_replayed,
    o.strength AS strength, r.strength AS strength_replayed,
    o.base AS base, r.base AS base_replayed,
    o.dc AS dc, r.dc AS dc_replayed,
    o.acb_boost AS acb_boost, r.acb_boost AS acb_boost_replayed,
    o.meta_boost AS meta_boost, r.meta_boost AS meta_boost_replayed,
    o.mc_scale AS mc_scale, r.mc_scale AS mc_scale_replayed,
    o.acb AS acb, r.acb AS acb_replayed,
    o.ob AS ob, r.ob AS ob_replayed,
    o.esof AS esof, r.esof AS esof_replayed,
    o.esof_fanin AS esof_fanin, r.esof_fanin AS esof_fanin_replayed,
    o.raw AS raw, r.raw AS raw_replayed,
    o.cap AS cap, r.cap AS cap_replayed,
    o.bound AS bound, r.bound AS bound_replayed,
    o.leverage_fanin AS leverage_fanin, r.leverage_fanin AS leverage_fanin_replayed,
    o.sc_mult AS sc_mult, r.sc_mult AS sc_mult_replayed,
    o.leverage AS leverage, r.leverage AS leverage_replayed,
    o.fraction AS fraction, r.fraction AS fraction_replayed,
    o.capital_usd AS capital_usd, r.capital_usd AS capital_usd_replayed,
    o.notional_usd AS notional_usd, r.notional_usd AS notional_usd_replayed,
    o.notional_fraction AS notional_fraction, r.notional_fraction AS notional_fraction_replayed,
    o.posture AS posture, r.posture AS posture_replayed,
    o.reasons AS reasons, r.reasons AS reasons_replayed,
    o.params_hash AS params_hash, r.params_hash AS params_hash_replayed
FROM (
    SELECT 'decision' AS outcome, '' AS code,
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, asset, strength, base, dc,
        acb_boost, meta_boost, mc_scale, acb, ob, esof, esof_fanin, raw, cap, bound, leverage_fanin, sc_mult,
        leverage, fraction, capital_usd, notional_usd, notional_fraction, posture, reasons
    FROM decisions WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
    UNION ALL
    SELECT 'evaluation', '',
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, asset, strength, base, dc,
        acb_boost, meta_boost, mc_scale, acb, ob, esof, esof_fanin, raw, cap, bound, leverage_fanin, sc_mult,
        leverage, fraction, capital_usd, notional_usd, notional_fraction, posture, reasons
    FROM evaluations WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
    UNION ALL
    SELECT 'reject', toString(code),
        run_id, topic, partition, log_offset, stream, scan_id, if(isNull(ts_ms), NULL,
        fromUnixTimestamp64Milli(assumeNotNull(ts_ms), 'UTC')), NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, []
    FROM rejects WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
) AS r
INNER JOIN (
    SELECT run_id, JSONExtractString(source, 'replay_of') AS replay_of FROM violet_runs FINAL
) AS m ON m.run_id = r.run_id
INNER JOIN (
    SELECT 'decision' AS outcome, '' AS code,
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, asset, strength, base, dc,
        acb_boost, meta_boost, mc_scale, acb, ob, esof, esof_fanin, raw, cap, bound, leverage_fanin, sc_mult,
        leverage, fraction, capital_usd, notional_usd, notional_fraction, posture, reasons
    FROM decisions WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
    UNION ALL
    SELECT 'evaluation', '',
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, asset, strength, base, dc,
        acb_boost, meta_boost, mc_scale, acb, ob, esof, esof_fanin, raw, cap, bound, leverage_fanin, sc_mult,
        leverage, fraction, capital_usd, notional_usd, notional_fraction, posture, reasons
    FROM evaluations WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
    UNION ALL
    SELECT 'reject', toString(code),
        run_id, topic, partition, log_offset, stream, scan_id, if(isNull(ts_ms), NULL,
        fromUnixTimestamp64Milli(assumeNotNull(ts_ms), 'UTC')), NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, []
    FROM rejects WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
) AS o ON o.run_id = m.replay_of AND o.topic = r.topic AND o.partition = r.partition AND o.log_offset = r.log_offset;
