"""Verdict: what a run beside BLUE comes to under a contract. Of a valid comparison each measure has its N and interval.

PASS    every measure is equivalent within the contract's margins.
FAIL    one is different, whatever the others are.
HOLD    none is different, and one cannot be told yet: more pairs are needed, or BLUE did not record it.
The unit of every interval is the pair, in the order of time. The error level of the contract holds for all measures
together and under daily looks. See docs/design/blue.md.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec

from journal.blue import anchor
from journal.blue.attribution import Attribution
from journal.blue.classes import STATE_MACHINE, Class, Kind, excuse
from journal.blue.clause import Clause
from journal.blue.contract import Allowed, Contract, Window, canonical
from journal.blue.pairing import Pair, Pairing
from journal.blue.slot import Slots
from journal.blue.statistics import Verdict, bounded_mean, still_needed
from journal.blue.statistics import judge as judged
from journal.judge.gate import FAIL, HOLD, PASS, worst
from journal.ledger.run import Run, now
from journal.shown import shown
from journal.store import Store
from lanes.registry import LANES

INVALID: Final = "INVALID"
INVALID_COMPARISON: Final = "INVALID_COMPARISON"
EXIT: Final = {PASS: 0, FAIL: 1, HOLD: 2, INVALID: 3}
WORDS: Final = {PASS: "equivalent", FAIL: "different", HOLD: "go on"}
BLOCK_ROWS: Final = 50_000
_OF: Final = {Verdict.EQUIVALENT: PASS, Verdict.DIFFERENT: FAIL, Verdict.GO_ON: HOLD}


@dataclass(frozen=True, slots=True)
class Difference:
    """Why the two sides of a pair differ: its class and where it lies, and the terms of the log-ratio.

    delayed: the plane whose delay of one scan explains it, `all` where it takes several; empty: none does.
    """

    found: Class
    terms: Attribution
    delayed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One question of a comparison, and what it came to.

    above: what of the figure lies above the noise floor; this alone is judged. margin: what of it is borne. low, high:
    between which its true value lies, None where it is a count. needed: pairs more until there is an answer, if those
    to come are like these; None where nobody knows.
    """

    name: str
    verdict: str
    n: int
    figure: float | None
    above: float | None
    margin: float
    low: float | None = None
    high: float | None = None
    method: str = "count"
    needed: int | None = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison. valid_window: of an INVALID one the longest part without a breach, None where none is left."""

    compare_id: str
    contract: Contract
    verdict: str
    is_over: bool
    clauses: Sequence[Clause]
    measures: Sequence[Measure] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    valid_window: Window | None = None
    trades: int = 0
    pairs: int = 0

    @property
    def broken(self) -> list[Clause]:
        """The clauses that do not hold."""
        return [each for each in self.clauses if not each.holds]

    @property
    def needed(self) -> int | None:
        """Pairs more until every measure is told; None where nobody knows."""
        return needed_pairs([(each.verdict, each.needed) for each in self.measures])


def identity(store: Store, contract: Contract, clauses: Sequence[Clause]) -> str:
    """The id of a comparison: a hash of its contract, of the data of both sides as they are now, and of its clauses."""
    over = anchor.ranges(store, contract.run_id, contract.window)
    imports = anchor.imports(store, contract.blue.label, contract.window)
    data = [contract.hash, msgspec.to_builtins(over), anchor.chain(store, contract.run_id, over),
            msgspec.to_builtins(imports), [clause_json(each) for each in clauses]]  # fmt: skip
    return hashlib.sha256(canonical(data)).hexdigest()[:16]


def measures(
    contract: Contract, pairing: Pairing, traded: Slots, differences: Mapping[str, Difference]
) -> list[Measure]:
    """The judged measures. differences: of every pair whose sides are not the same, by trade_id.

    One that a delay explains lies within the noise floor: shown, not judged. One without a known cause is judged.
    """
    alpha = contract.alpha / (1 + (contract.margins.notional is not None))
    pairs = sorted(pairing.pairs, key=lambda pair: (pair.trade["entry_ts_ms"], pair.trade["trade_id"]))
    params = contract.params.values
    top, is_after = params["fanin"]["abs_max"], params["esof"]["application"] == "sc_post"
    least = 0.0 if is_after else params["base"]["min_lev"]  # a haircut behind the fan-in goes below its floor
    why = [differences.get(pair.trade["trade_id"]) for pair in pairs]
    is_noise = [each is not None and each.delayed != "" for each in why]
    found = [
        _count("unpaired", len(pairing.pairs) + len(pairing.unpaired), len(pairing.unpaired)),
        _trade_delta(traded),
        _mean("leverage", map(leverage_gap, pairs), is_noise, contract.margins.leverage, top - least, alpha),
    ]
    if contract.margins.notional is not None:
        most = params["fanin"]["fraction"] * top
        found.append(_mean("notional", map(notional_gap, pairs), is_noise, contract.margins.notional, most, alpha))
    counted = [
        each for pair, each in zip(pairs, why, strict=True)
        if each is not None and excused(contract, pair.trade, each) is None
    ]  # fmt: skip
    moved = [each for each in counted if each.found.kind in STATE_MACHINE]
    still = _above(unknown := [each for each in counted if each.found.kind == Kind.UNATTRIBUTABLE])
    found += [
        _count("state_machine", len(pairs), len(moved), _above(moved)),
        _count("unclassified", len(pairs), sum(each.found.kind == Kind.UNCLASSIFIED for each in counted)),
        Measure(
            name="unattributable", verdict=HOLD if still else PASS, n=len(pairs), figure=len(unknown), above=still,
            margin=0, needed=None if still else 0, why="BLUE recorded too little of these pairs" if still else "",
        ),
    ]  # fmt: skip
    return found


def verdict(found: Sequence[Measure]) -> str:
    """PASS, FAIL or HOLD of some measures."""
    return worst([each.verdict for each in found])


def leverage_gap(pair: Pair) -> float | None:
    """How far the leverages of a pair lie apart; None where BLUE did not record its own."""
    recorded = pair.trade["leverage"]
    return None if recorded is None else abs(float(pair.decision["leverage"]) - float(recorded))


def notional_gap(pair: Pair) -> float | None:
    """How far the notionals of a pair lie apart, as a share of the capital; None where BLUE did not record its own."""
    recorded = pair.trade["notional_fraction"]
    return None if recorded is None else abs(float(pair.decision["notional_fraction"]) - float(recorded))


def excused(contract: Contract, trade: Mapping[str, Any], difference: Difference) -> Allowed | None:
    """The contract's entry that knows a difference, and bears it on the day of the trade."""
    day = f"{datetime.fromtimestamp(trade['entry_ts_ms'] / 1e3, UTC):%Y-%m-%d}"
    return excuse(difference.found, trade["asset"], contract.allowed, day)


def store_pairs(
    store: Store, contract: Contract, compare_id: str, pairs: Sequence[Pair], differences: Mapping[str, Difference]
) -> None:
    """Keep both sides of every pair, and why they differ. The same again changes nothing."""
    for first in range(0, len(pairs), BLOCK_ROWS):
        rows = [_row(contract, compare_id, pair, differences) for pair in pairs[first : first + BLOCK_ROWS]]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        store.put("violet_compare_pairs", columns, f"{compare_id}|{first}")


def keep(store: Store, run: Run, compared: Compared) -> None:
    """Keep a comparison in the journal, once its pairs are there. The same again changes nothing."""
    contract = compared.contract
    sql = "SELECT count() FROM violet_compares WHERE compare_id = {id:String}"
    if store.count(sql, {"id": compared.compare_id}):
        return
    row = {
        "compare_id": compared.compare_id, "contract_hash": contract.hash, "run_id": contract.run_id, "name": run.name,
        "label": contract.blue.label, "from_ms": contract.window.from_ms, "to_ms": contract.window.to_ms,
        "is_over": compared.is_over, "verdict": compared.verdict,
        "clauses": canonical([clause_json(each) for each in compared.clauses]).decode(),
        "measures": canonical([asdict(each) for each in compared.measures]).decode(),
        "figures": text(compared.figures),
        "pairs": compared.pairs, "trades": compared.trades, "compared_at": now(),
    }  # fmt: skip
    store.put_row("violet_compares", row, compared.compare_id)


def table(store: Store, compare_id: str) -> bytes:
    """The pairs of a comparison as tab-separated text with a head, in the order of their entries."""
    rows = store.rows(
        "SELECT * EXCEPT (compare_id, run_id, label, is_colocated) FROM compare_pairs WHERE compare_id = {id:String} "
        "ORDER BY entry_ts_ms, trade_id",
        {"id": compare_id},
    )
    lines = [list(rows[0])] if rows else []
    lines += [[_cell(value) for value in row.values()] for row in rows]
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def as_json(compared: Compared) -> dict[str, Any]:
    """A comparison as one object, for people and programs."""
    words = {
        "compare_id": compared.compare_id, "contract_hash": compared.contract.hash,
        "run_id": compared.contract.run_id, "label": compared.contract.blue.label,
        "window": msgspec.to_builtins(compared.contract.window), "is_over": compared.is_over,
        "verdict": INVALID_COMPARISON if compared.verdict == INVALID else compared.verdict,
        "clauses": [clause_json(each) for each in compared.clauses],
    }  # fmt: skip
    if compared.verdict == INVALID:
        valid = compared.valid_window
        return words | {"valid_window": None if valid is None else msgspec.to_builtins(valid)}
    return words | {
        "needed_pairs": compared.needed, "needed_days": needed_days(compared),
        "measures": [asdict(each) for each in compared.measures], "figures": dict(compared.figures),
    }  # fmt: skip


def summed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `compares` in short: its verdict in words, and the pairs and days that are still needed.

    broken: of an INVALID one the names of the clauses. needed_pairs, needed_days: None where nobody knows.
    """
    clauses, measured, figures = (json.loads(row[name]) for name in ("clauses", "measures", "figures"))
    pairs = needed_pairs([(each["verdict"], each["needed"]) for each in measured])
    days = _days(pairs, row["pairs"], figures["frequency"]["hours"]) if figures else None
    within = figures["noise_floor"]["delay"]["explained"] if figures else 0
    broken = [each["name"] for each in clauses if not each["holds"]]
    return {
        **{name: row[name] for name in ("compare_id", "run_id", "label", "from_ms", "to_ms", "is_over", "compared_at")},
        "verdict": INVALID_COMPARISON if row["verdict"] == INVALID else row["verdict"], "broken": broken,
        "needed_pairs": pairs, "needed_days": days,
        "words": in_words(row["verdict"], pairs, days, broken, within),
    }  # fmt: skip


def kept(store: Store, run_id: str) -> list[dict[str, Any]]:
    """The comparisons of a run that are kept, the newest first: each in short, with its clauses and measures."""
    rows = store.rows(
        "SELECT * FROM compares WHERE run_id = {run:String} ORDER BY compared_at DESC, compare_id", {"run": run_id}
    )
    return [
        {**summed(row), "contract_hash": row["contract_hash"],
         **{name: json.loads(row[name]) for name in ("clauses", "measures")}}
        for row in rows
    ]  # fmt: skip


def in_words(verdict: str, pairs: int | None, days: float | None, broken: Sequence[str] = (), within: int = 0) -> str:
    """A verdict as people read it. within: the differences that are not judged, see `measures`.

    >>> in_words("HOLD", 768, 2.13)
    'HOLD (go on); pairs still needed: 768, days at this pace: 2.1'
    >>> in_words("PASS", 0, 0.0, within=46)
    'PASS (equivalent; 46 differences within the noise floor are not judged)'
    """
    if verdict == INVALID:
        return f"{INVALID_COMPARISON}: {', '.join(broken)}"
    words = WORDS[verdict] + (f"; {within} differences within the noise floor are not judged" if within else "")
    if verdict != HOLD:
        return f"{verdict} ({words})"
    needed = "unknown" if pairs is None else f"{pairs}"
    pace = "" if days is None else f", days at this pace: {days:.1f}"
    return f"{verdict} ({words}); pairs still needed: {needed}{pace}"


def needed_pairs(measured: Sequence[tuple[str, int | None]]) -> int | None:
    """Pairs more until every measure is told, of verdicts with what each needs; None where nobody knows."""
    needed = [more for verdict, more in measured if verdict == HOLD]
    known = [more for more in needed if more is not None]
    return max(known, default=0) if len(known) == len(needed) else None


def clause_json(clause: Clause) -> dict[str, Any]:
    """A clause with its breach, of which the first spans and offsets are named and the others counted."""
    words: dict[str, Any] = {"name": clause.name, "holds": clause.holds, "agreed": clause.agreed}
    words |= {"ours": clause.ours, "theirs": clause.theirs}
    if not clause.holds:
        words |= {"breaches": len(clause.spans), "spans": list(clause.spans[:_NAMED])}
        words |= {"offsets": list(clause.offsets[:_NAMED])}
    return words


def needed_days(compared: Compared) -> float | None:
    """Days more until every measure is told, at the pairs a day of what of this window is reached."""
    return _days(compared.needed, compared.pairs, compared.figures["frequency"]["hours"])


_NAMED: Final = 20


def _days(needed: int | None, pairs: int, hours: float) -> float | None:
    return None if needed is None or not pairs else needed / pairs * hours / 24


def _above(differences: Sequence[Difference]) -> int:
    return sum(not each.delayed for each in differences)


def _count(name: str, n: int, count: int, above: int | None = None) -> Measure:
    above = count if above is None else above
    return Measure(name=name, verdict=FAIL if above else PASS, n=n, figure=count, above=above, margin=0)


def _trade_delta(traded: Slots) -> Measure:
    """What one slot would have traded and BLUE did not; not to be told where nobody recorded when its slot was free."""
    if traded.missed or not traded.untold:
        return _count("trade_delta", traded.ours, len(traded.missed))
    why = f"BLUE recorded no trade or no exit that says whether its slot was free at {traded.untold} decisions"
    return Measure(name="trade_delta", verdict=HOLD, n=traded.ours, figure=0, above=0, margin=0, needed=None, why=why)


def _mean(
    name: str, gaps: Iterable[float | None], is_noise: Sequence[bool], margin: float, most: float, alpha: float
) -> Measure:
    """The mean gap above the noise floor, which the params bound; a gap beyond them is a difference by itself."""
    known = [gap for gap in gaps if gap is not None]
    said = partial(Measure, name=name, margin=margin, n=len(known))
    if len(known) < len(is_noise) or not known:
        why = f"BLUE recorded no {name} of {len(is_noise) - len(known)} of {len(is_noise)} pairs"
        return said(verdict=HOLD, figure=None, above=None, needed=None, why=why)
    real = [0.0 if within else gap for gap, within in zip(known, is_noise, strict=True)]
    figure, above = (math.fsum(each) / len(each) for each in (known, real))
    if max(real) > most:
        why = f"a pair is {max(real):.6g} apart, and the params allow {most:.6g}"
        return said(verdict=FAIL, figure=figure, above=above, why=why)
    interval = partial(bounded_mean, low=0.0, high=most, alpha=alpha)
    found = interval(real)
    verdict = _OF[judged(found, margin)]
    return said(
        verdict=verdict, figure=figure, above=above, low=found.low, high=found.high, method=found.method,
        needed=still_needed(real, interval, margin) if verdict == HOLD else 0,
    )  # fmt: skip


def _row(contract: Contract, compare_id: str, pair: Pair, differences: Mapping[str, Difference]) -> dict[str, Any]:
    trade, decision = pair.trade, pair.decision
    why = differences.get(trade["trade_id"])
    reason = {"class": "", "class_group": "", "class_where": [], "is_allowed": False, "delayed": "", **_TERMS}
    if why is not None:
        reason = {
            "class": why.found.kind.value, "class_group": why.found.group, "class_where": list(why.found.where),
            "is_allowed": excused(contract, trade, why) is not None, "delayed": why.delayed,
            **{name: getattr(why.terms, name) for name in _TERMS},
        }  # fmt: skip
    return {
        "compare_id": compare_id, "run_id": contract.run_id, "label": contract.blue.label,
        "trade_id": trade["trade_id"], "asset": trade["asset"],
        "entry_ts_ms": trade["entry_ts_ms"], "by": pair.by, "gap_ms": pair.gap_ms, "candidates": pair.candidates,
        **{name: decision[name] for name in _DECISION},
        "recorded_vel_div": trade["vel_div"],
        "lanes": {lane.name: decision[lane.name] for lane in LANES if decision[lane.name] is not None},
        "recorded_lanes": dict(trade["lanes"]), "journaled": decision["leverage"], "recorded": trade["leverage"],
        "recorded_notional_fraction": trade["notional_fraction"], "recorded_notional_usd": trade["notional_usd"],
        "pnl": trade["pnl"], **reason,
    }  # fmt: skip


_TERMS: Final[Mapping[str, Any]] = {"nominal": {}, "effective": {}, "closure_ulp": None}
_DECISION: Final = (
    "topic", "partition", "log_offset", "stream", "scan_id", "dc_status", "bound", "vel_div", "notional_fraction",
    "notional_usd",
)  # fmt: skip


def text(figures: Mapping[str, Any]) -> str:
    """Figures as the journal keeps them: canonical JSON, null where a figure cannot be formed."""
    return canonical(_finite(figures)).decode()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return canonical(_finite(value)).decode()
    return shown(str(value))
