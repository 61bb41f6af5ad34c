-- What would a lane's candidate change, if it were promoted?
-- Columns: lane, params_hash, kernel_hash (the candidate's), since, until (UTC), n (scans that it spoke of), differs (another
--   value than the lane's), diff_max (largest distance of the values), decisions, unsized (those to which it gives no leverage:
--   nothing finite, or other bounds than the fan-in has), moved (those with another leverage), ratio_min, ratio_p50, ratio_max
--   (its leverage over the journaled one, of decisions above 0).
-- Source: docs/design/stages.md.
SELECT lane, params_hash, kernel_hash, min(ts) AS since, max(ts) AS until, count() AS n, countIf(candidate != value) AS differs,
    max(abs(candidate - value)) AS diff_max, countIf(actuated) AS decisions,
    countIf(actuated AND isNull(candidate_leverage)) AS unsized, countIf(actuated AND candidate_leverage != leverage) AS moved,
    minIf(candidate_leverage / leverage, actuated AND leverage > 0) AS ratio_min,
    quantileExactLowIf(0.5)(assumeNotNull(candidate_leverage / leverage),
        actuated AND leverage > 0 AND isNotNull(candidate_leverage)) AS ratio_p50,
    maxIf(candidate_leverage / leverage, actuated AND leverage > 0) AS ratio_max
FROM canaries
WHERE run_id = {run:String}
GROUP BY lane, params_hash, kernel_hash
ORDER BY indexOf($lane_names, lane), since
