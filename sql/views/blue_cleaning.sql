-- Every row of BLUE's trades that was brought in, and why it is dropped; an empty reason keeps it.
-- One row of a trade stays: of equal rows the first, of rows with different exits the one with the latest exit, of rows
-- with one exit the one beside which BLUE recorded more.
-- Source: findings 4.
CREATE OR REPLACE VIEW blue_cleaning AS
SELECT *, multiIf(
        nth > 1 AND content_hash = kept_hash, 'DUPLICATE',
        nth > 1, 'DUPLICATE_OTHER_EXIT',
        exit_reason = 'HIBERNATE_HALT', 'HIBERNATE_HALT',
        ifNull(bars_held = 0, false), 'BARS_HELD_0',
        ''
    ) AS reason
FROM (
    SELECT i.label AS label, t.*, i.imported_at AS imported_at,
        row_number() OVER same AS nth,
        first_value(content_hash) OVER same AS kept_hash,
        count() OVER (PARTITION BY label, trade_id) AS trade_rows
    FROM violet_blue_trades AS t FINAL
    INNER JOIN (SELECT import_id, label, imported_at FROM blue_imports WHERE state = 'COMPLETE') AS i
        ON t.import_id = i.import_id
    WINDOW same AS (
        PARTITION BY label, trade_id
        ORDER BY ifNull(exit_ts_ms, 0) DESC, length(lanes) DESC, length(planes) DESC, content_hash, imported_at, import_id, row_number
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
);
