-- What the journal has lost: parts that are gone (LOST) or that the engine set aside (DETACHED). A sound journal has none.
CREATE OR REPLACE VIEW damage AS
WITH lost AS (SELECT table, part, rows FROM violet_damage FINAL WHERE mended = ''),
aside AS (
    SELECT
        table,
        if(isNull(partition_id), name, concat(partition_id, '_', toString(min_block_number), '_', toString(max_block_number))) AS part,
        reason
    FROM system.detached_parts
    WHERE database = currentDatabase() AND startsWith(table, 'violet_')
)
SELECT table, part, 'DETACHED' AS how, reason, toUInt64(0) AS rows FROM aside
UNION ALL
SELECT table, part, 'LOST' AS how, '' AS reason, rows FROM lost WHERE (table, part) NOT IN (SELECT table, part FROM aside);
