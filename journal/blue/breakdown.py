"""Breakdown: which lanes move the leverage in which buckets, all asked at once, and how far sizes lie apart a day.

Both are figures beside the verdict, not part of it. Units are pairs and days, in the order of time.
"""

import math
from typing import Any, Final

from journal.blue.contract import Contract
from journal.blue.statistics import bounded_mean, e_bh, log_e_mean, unbounded_mean
from journal.store import Store
from lanes.registry import LANES

_ROUNDING: Final = 2.0**-40  # of two logarithms and of the terms that add up to them, generously
_UNITS: Final = """
SELECT lane, arrayFirst(each -> vel_div > each.1, (SELECT buckets FROM vel_div_buckets)).2 AS bucket,
    arraySort(groupArray((entry_ts_ms, trade_id, if(delayed = '', effective[lane], 0)))).3 AS units
FROM (SELECT * FROM compare_pairs WHERE compare_id = {compare:String})
ARRAY JOIN {names:Array(String)} AS lane
WHERE is_identical OR mapContains(effective, lane)
GROUP BY lane, bucket
ORDER BY indexOf({names:Array(String)}, lane), bucket"""
_DAYS: Final = """
SELECT toDate(entry_ts) AS day, toFloat64(sum(toDecimal256(notional_usd - recorded_notional_usd, 30))) AS usd,
    toFloat64(sum(toDecimal256(if(delayed = '', notional_usd - recorded_notional_usd, 0), 30))) AS above
FROM compare_pairs WHERE compare_id = {compare:String} AND recorded_notional_usd IS NOT NULL
GROUP BY day ORDER BY day"""


def by_lane(store: Store, contract: Contract, compare_id: str) -> list[dict[str, Any]]:
    """Each lane in each bucket of vel_div: the mean of its effective terms above the noise floor, and whether it is 0.

    differs holds for all rows together: of those that say so at most a share alpha of the contract is wrong, in the
    mean (e-BH). low, high: of the row alone. A haircut behind the fan-in leaves the terms without bounds, so no row.
    """
    params, alpha = contract.params.values, contract.alpha
    if params["esof"]["application"] == "sc_post":
        return []
    reach = math.log(params["fanin"]["abs_max"] / params["base"]["min_lev"])  # between two leverages of one fan-in
    reach *= 1.0 + _ROUNDING
    rows = store.rows(_UNITS, {"compare": compare_id, "names": [lane.name for lane in LANES]})
    log_e = {at: log_e_mean(row["units"], -reach, reach, (0.0, 0.0), alpha) for at, row in enumerate(rows)}
    differing = e_bh(log_e, alpha)
    found = []
    for at, row in enumerate(rows):
        alone = bounded_mean(row["units"], -reach, reach, alpha)
        found.append(
            {"lane": row["lane"], "vel_div": row["bucket"], "n": alone.n, "mean": alone.estimate, "low": alone.low,
             "high": alone.high, "log_e": log_e[at], "differs": at in differing}
        )  # fmt: skip
    return found


def by_day(store: Store, contract: Contract, compare_id: str) -> dict[str, Any]:
    """The mean difference of notional a day, ours less BLUE's, in USD; without bounds while there are too few days."""
    rows = store.rows(_DAYS, {"compare": compare_id})
    days = [row["usd"] for row in rows]
    found = unbounded_mean(days, contract.alpha)
    bounds = {"low": None, "high": None} if found is None else {"low": found.low, "high": found.high}
    return {
        "days": len(days),
        "mean_usd": math.fsum(days) / len(days) if days else None,
        "above_usd": math.fsum(row["above"] for row in rows) / len(days) if days else None,
        **bounds,
        "method": "asymptotic",
    }
