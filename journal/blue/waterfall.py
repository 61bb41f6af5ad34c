"""Waterfall: one decision beside BLUE's trade, lane by lane, both products and what each lane moves."""

from collections.abc import Mapping
from typing import Any

from journal.refusal import Refusal
from journal.store import Store
from lanes.registry import LANES


def beside(store: Store, row: Mapping[str, Any]) -> dict[str, Any]:
    """The pair of a decision in the latest comparison of its run that holds one, and its terms, in the order of LANES.

    Args:
        store: the journal.
        row: of decisions.

    Returns:
        The pair, and `terms`: each with ours and theirs, the products so far (None from where BLUE recorded too
        little), nominal and effective.

    Raises:
        Refusal: no comparison has a trade of BLUE beside it.
    """
    asked = {"run": row["run_id"], "stream": row["stream"], "scan": row["scan_id"], "offset": row["log_offset"],
             "names": [lane.name for lane in LANES]}  # fmt: skip
    pairs = store.rows(
        "SELECT p.* FROM compare_pairs AS p INNER JOIN (SELECT compare_id, compared_at FROM compares) AS c "
        "ON p.compare_id = c.compare_id WHERE p.run_id = {run:String} AND p.stream = {stream:String} "
        "AND p.scan_id = {scan:Int64} AND p.log_offset = {offset:Int64} ORDER BY c.compared_at DESC LIMIT 1",
        asked,
    )
    if not pairs:
        raise Refusal(
            f"no trade of BLUE stands beside scan {row['scan_id']} in a comparison of run {row['run_id']}; fix: "
            '`violet compare`, and a scan that `violet sql "SELECT scan_id FROM compare_pairs"` lists'
        )
    terms = store.rows(
        "SELECT term, ours, theirs, nominal, effective, status, closure_ulp, log_ratio FROM blue_attribution "
        "WHERE compare_id = {compare:String} AND trade_id = {trade:String} "
        "ORDER BY indexOf({names:Array(String)}, term) = 0, indexOf({names:Array(String)}, term), term",
        {**asked, "compare": pairs[0]["compare_id"], "trade": pairs[0]["trade_id"]},
    )
    products: list[float | None] = [1.0, 1.0]
    found = []
    for term in terms:
        for at, side in enumerate(("ours", "theirs")):
            before, value = products[at], term[side]
            products[at] = None if before is None or value is None else before * value
        found.append({**term, "our_product": products[0], "their_product": products[1]})
    return {**pairs[0], "terms": found}
