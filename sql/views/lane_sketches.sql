-- The same from a sample, at no cost: of the whole run, and of the hour that ends now (soak --sketches). See lane_quantiles.
CREATE OR REPLACE VIEW lane_sketches AS
SELECT run_id, window, lane, of AS asset, round(n) AS n, q[1] AS p01, q[2] AS p05, q[3] AS p50, q[4] AS p95, q[5] AS p99
FROM (
    SELECT run_id, window, lane, of, sum(w) AS n,
        quantilesExactWeighted(0.01, 0.05, 0.5, 0.95, 0.99)(x, toUInt64(round(w * 16))) AS q
    FROM (
        SELECT run_id, window, lane, of, x, w
        FROM (
            SELECT run_id, lane, samples, weights,
                arrayJoin(if(asset = '', ['*'], ['*', toString(asset)])) AS of,
                arrayJoin(if(place > 0 AND slot > now('UTC') - 3900, ['run', '1h'], ['run'])) AS window
            FROM (SELECT * FROM violet_sketches FINAL) AS s
            LEFT JOIN (SELECT run_id, max(slot) AS to FROM violet_sketches FINAL WHERE place = 0 GROUP BY run_id) AS f
                ON s.run_id = f.run_id
            WHERE place = 0 OR slot > to
        )
        ARRAY JOIN samples AS x, weights AS w
    )
    GROUP BY run_id, window, lane, of
);
