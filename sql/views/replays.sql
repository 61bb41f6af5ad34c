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
            $compared_names,
            $compared_same
        )
    ) AS differs,
    o.outcome AS outcome, r.outcome AS outcome_replayed,
    o.code AS code, r.code AS code_replayed,
    $compared_pairs,
    o.params_hash AS params_hash, r.params_hash AS params_hash_replayed
FROM (
    SELECT 'decision' AS outcome, '' AS code,
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, $compared
    FROM decisions WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
    UNION ALL
    SELECT 'evaluation', '',
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, $compared
    FROM evaluations WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
    UNION ALL
    SELECT 'reject', toString(code),
        run_id, topic, partition, log_offset, stream, scan_id, if(isNull(ts_ms), NULL,
        fromUnixTimestamp64Milli(assumeNotNull(ts_ms), 'UTC')), NULL, '', $compared_nulls
    FROM rejects WHERE run_id IN (SELECT run_id FROM violet_runs FINAL WHERE JSONHas(source, 'replay_of'))
) AS r
INNER JOIN (
    SELECT run_id, JSONExtractString(source, 'replay_of') AS replay_of FROM violet_runs FINAL
) AS m ON m.run_id = r.run_id
INNER JOIN (
    SELECT 'decision' AS outcome, '' AS code,
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, $compared
    FROM decisions WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
    UNION ALL
    SELECT 'evaluation', '',
        run_id, topic, partition, log_offset, stream, scan_id, ts, vel_div, params_hash, $compared
    FROM evaluations WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
    UNION ALL
    SELECT 'reject', toString(code),
        run_id, topic, partition, log_offset, stream, scan_id, if(isNull(ts_ms), NULL,
        fromUnixTimestamp64Milli(assumeNotNull(ts_ms), 'UTC')), NULL, '', $compared_nulls
    FROM rejects WHERE run_id IN (SELECT JSONExtractString(source, 'replay_of') FROM violet_runs FINAL)
) AS o ON o.run_id = m.replay_of AND o.topic = r.topic AND o.partition = r.partition AND o.log_offset = r.log_offset;
