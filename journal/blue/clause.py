"""Clauses: whether a run and BLUE's trades are what the contract says, judged before anybody sees a figure.

A clause that does not hold makes a comparison INVALID: it says nothing then, for neither side. Each breach names its
times, so what of the window is free of all of them is computed, and can be compared under a contract of its own.
See docs/design/blue.md.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from journal.blue import anchor
from journal.blue.contract import Contract, Window
from journal.blue.pairing import Pairing
from journal.blue.slot import Slots
from journal.blue.statistics import proportion
from journal.ledger.run import Run, Segment, segments
from journal.store import Store

Span = tuple[int, int]
Trade = Mapping[str, Any]
SLACK: Final = 2.0  # scan steps that may lie between two scans, or between a scan and the window's end
UNKNOWN: Final = "unknown"  # bucket of a trade whose vel_div nobody recorded
_INSIDE: Final = f"run_id = {{run:String}} AND {anchor.INSIDE}"
_SEGMENT: Final[Mapping[str, Callable[[Segment], Any]]] = {
    "code": lambda s: s.code_hash,
    "math_fingerprint": lambda s: s.math_fingerprint,
    "params": lambda s: s.params_hash,
    "kernels": lambda s: dict(s.kernels),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One condition of a comparison.

    agreed: what the contract says; ours, theirs: what the run and BLUE's trades say, None where a side says nothing of
    it. offsets: where in the log ours is otherwise, [partition, first, last]. spans: the times of the breach, the
    second of each not in it.
    """

    name: str
    holds: bool
    agreed: Any
    ours: Any = None
    theirs: Any = None
    offsets: Sequence[tuple[int, int, int]] = ()
    spans: Sequence[Span] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Who compares: fingerprint of the installed product, and the arithmetic of this machine."""

    wheel: str
    math_fingerprint: str


@dataclass(frozen=True, slots=True)
class Scans:
    """The scans of a stream in a window: how many, first and last time, usual step, and holes as spans of time.

    share: of the scans that should be there, by their times or their numbers, whichever is the lower.
    """

    n: int
    first: int
    last: int
    step: float
    share: float
    holes: Sequence[Span]


def longest(window: Window, spans: Iterable[Span]) -> Window | None:
    """The longest part of a window that no span touches; of equal ones the first; None where nothing is left.

    >>> longest(Window(from_ms=1_300_000_000_000, to_ms=1_300_000_000_100), [(1_300_000_000_040, 1_300_000_000_050)])
    Window(from_ms=1300000000050, to_ms=1300000000100)
    """
    best, at = (0, 0), window.from_ms
    for first, end in sorted([*spans, (window.to_ms, window.to_ms)]):
        if min(first, window.to_ms) - at > best[1] - best[0]:
            best = at, min(first, window.to_ms)
        at = max(at, end)
    return Window(from_ms=best[0], to_ms=best[1]) if best[1] > best[0] else None


def reached(contract: Contract, run: Run, scans: Sequence[Scans]) -> Window:
    """The part of a window that can be looked at: of a run that goes on up to its last scan."""
    window = contract.window
    _, is_over = _window(contract, run, scans)
    if is_over or run.state != "RUNNING" or not scans:
        return window
    last = min(each.last for each in scans)
    return Window(from_ms=window.from_ms, to_ms=last + 1)


def of_sides(
    store: Store, contract: Contract, run: Run, scans: Sequence[Scans], trades: Sequence[Trade], judge: Judge
) -> tuple[list[Clause], bool]:
    """The clauses of both sides, in the order in which they are judged; whether the window is over.

    Args:
        store: the journal.
        contract: what was agreed.
        run: the run that is compared.
        scans: the run's in the window.
        trades: BLUE's trades in what of the window is reached, rows of `blue_trades`.
        judge: who compares.
    """
    whole = [(contract.window.from_ms, contract.window.to_ms)]

    def same(name: str, agreed: Any, ours: Any) -> Clause:
        holds = agreed == ours
        return Clause(name=name, holds=holds, agreed=agreed, ours=ours, spans=[] if holds else whole)

    found = [
        same("run", contract.run_id, run.run_id),
        same("log", contract.log.identity, anchor.identity(run)),
        same("log.partitions", contract.log.partitions, max(1, len(run.start))),
        same("runtime", msgspec.to_builtins(contract.runtime), msgspec.to_builtins(anchor.runtime(run))),
        same("judge.wheel", contract.code.wheel, judge.wheel),
        same("judge.math_fingerprint", contract.math_fingerprint, judge.math_fingerprint),
        *_segments(store, contract, run.run_id),
    ]
    window, is_over = _window(contract, run, scans)
    found += [window, _coverage(contract, scans)]
    if contract.log.ranges is not None:
        found += _log(store, contract, run.run_id, whole)
    found += [_universe(store, contract, run.run_id, trades), _imports(store, contract, whole)]
    return [*found, *_said(store, contract, trades), _scan_ids(store, run.run_id, trades)], is_over


def of_pairs(contract: Contract, pairing: Pairing, traded: Slots, bucket_of: Callable[[float], str]) -> list[Clause]:
    """The clauses of the pairs: BLUE's scans and clock, how many pairs there are, and of which groups."""
    whole = [(contract.window.from_ms, contract.window.to_ms)]
    most, offset = contract.pairing.clock_ms, pairing.offset_ms
    is_near, is_enough = offset is None or abs(offset) <= most, len(pairing.pairs) >= contract.floors.pairs
    sees = traded.share is None or traded.share >= contract.floors.scans
    return [
        Clause(
            name="blue.bars", holds=sees, agreed=f"at least {contract.floors.scans}", theirs=traded.share,
            spans=[] if sees else traded.blind,
        ),
        Clause(
            name="blue.clock", holds=is_near, agreed=f"within {most} ms", theirs=offset, spans=[] if is_near else whole
        ),
        Clause(
            name="pairs", holds=is_enough, agreed=f"at least {contract.floors.pairs}", ours=len(pairing.pairs),
            theirs=len(pairing.pairs) + len(pairing.unpaired), spans=[] if is_enough else whole,
        ),
        *_rates(contract, pairing, bucket_of),
    ]  # fmt: skip


def groups(trade: Trade, vel_div: float | None, bucket_of: Callable[[float], str]) -> dict[str, str]:
    """The groups of a trade: its asset, hour of the day (UTC) and vel_div bucket."""
    return {
        "asset": str(trade["asset"]),
        "hour": f"{trade['entry_ts_ms'] // 3_600_000 % 24:02d}",
        "vel_div": UNKNOWN if vel_div is None else bucket_of(vel_div),
    }


def buckets(store: Store) -> Callable[[float], str]:
    """What names the vel_div bucket of a value, as the views have them."""
    bounds = store.rows("SELECT buckets FROM vel_div_buckets")[0]["buckets"]
    return lambda value: next((name for above, name in bounds if value > above), UNKNOWN)


def _segments(store: Store, contract: Contract, run_id: str) -> Iterator[Clause]:
    inside = f"WHERE {_INSIDE}"
    what = "segment, partition, log_offset, ts_ms"
    rows = store.rows(
        "SELECT segment, partition, min(log_offset) AS first, max(log_offset) AS last, min(ts_ms) AS first_ms, "
        f"max(ts_ms) AS last_ms FROM {anchor.SCANS.format(what, inside, what, inside)} "
        "GROUP BY segment, partition ORDER BY segment, partition",
        anchor.within(run_id, contract.window),
    )
    opened = {each.segment: each for each in segments(store, run_id)}
    agreed = {
        "code": contract.code.code_hash, "math_fingerprint": contract.math_fingerprint, "params": contract.params.hash,
        "kernels": dict(contract.kernels),
    }  # fmt: skip
    for name, of in _SEGMENT.items():
        strange = [row for row in rows if of(opened[row["segment"]]) != agreed[name]]
        said = of(opened[strange[0]["segment"]]) if strange else agreed[name] if rows else None
        yield Clause(
            name=name, holds=not strange, agreed=agreed[name], ours=said,
            offsets=[(row["partition"], row["first"], row["last"]) for row in strange],
            spans=[(row["first_ms"], row["last_ms"] + 1) for row in strange],
        )  # fmt: skip


def scans_of(store: Store, contract: Contract, run_id: str) -> list[Scans]:
    """The scans of each stream in the window.

    A hole is a step of time above SLACK usual ones, or numbers left out of a count.
    Of numbers no more are missing than the time has room for: a scanner that starts again may count from anywhere.
    """
    inside = f"WHERE {_INSIDE}"
    what = "stream, ts_ms, scan_id"
    rows = store.rows(
        "WITH arraySort(groupUniqArray((ts_ms, scan_id))) AS all, all.1 AS t, all.2 AS id, "
        "arrayPopFront(arrayDifference(t)) AS steps, arrayPopFront(arrayDifference(id)) AS counts, "
        "ifNotFinite(arrayReduce('medianExact', arrayFilter(d -> d > 0, steps)), 0) AS step, "
        "arrayReduce('medianExact', counts) = 1 AS counted, "
        "arrayMap((d, n) -> greatest(if(d > {slack:Float64} * step, d / step - 1, 0), "
        "if(counted AND n > 1, least(toFloat64(n - 1), ceil(d / step)), 0)), steps, counts) AS missing "
        "SELECT length(t) AS n, t[1] AS first, t[-1] AS last, step, arraySum(missing) AS gone, "
        "arrayFilter(h -> h.3 > 0, arrayZip(arrayPopBack(t), arrayPopFront(t), missing)) AS holes "
        f"FROM {anchor.SCANS.format(what, inside, what, inside)} GROUP BY stream ORDER BY stream",
        {**anchor.within(run_id, contract.window), "slack": SLACK},
    )
    return [
        Scans(
            row["n"], row["first"], row["last"], row["step"], row["n"] / (row["n"] + row["gone"]),
            [(first + 1, end) for first, end, _ in row["holes"]],
        )
        for row in rows
    ]  # fmt: skip


def _window(contract: Contract, run: Run, scans: Sequence[Scans]) -> tuple[Clause, bool]:
    """Whether the run has scans from one end of the window to the other; one that goes on may not be there yet."""
    start, end = contract.window.from_ms, contract.window.to_ms
    if not scans:
        spans: list[Span] = [(start, end)]
        return Clause(name="window", holds=False, agreed=[start, end], spans=spans), False
    slack = SLACK * max(each.step for each in scans)
    first, last = max(each.first for each in scans), min(each.last for each in scans)
    is_over = last + slack >= end
    spans = [(start, first)] * (first - start > slack) + [(last + 1, end)] * (not is_over and run.state != "RUNNING")
    clause = Clause(name="window", holds=not spans, agreed=[start, end], ours=[first, last + 1], spans=spans)
    return clause, is_over


def _coverage(contract: Contract, scans: Sequence[Scans]) -> Clause:
    share = min((each.share for each in scans), default=0.0)
    holds = share >= contract.floors.scans
    holes = [] if holds else [hole for each in scans for hole in each.holes]
    return Clause(name="scans", holds=holds, agreed=f"at least {contract.floors.scans}", ours=share, spans=holes)


def _log(store: Store, contract: Contract, run_id: str, whole: list[Span]) -> Iterator[Clause]:
    agreed = tuple(contract.log.ranges or ())
    ours = anchor.ranges(store, run_id, contract.window)
    for name, wanted, is_ in (
        ("log.ranges", msgspec.to_builtins(agreed), msgspec.to_builtins(ours)),
        ("log.chain", contract.log.chain, anchor.chain(store, run_id, agreed)),
    ):
        offsets = [(each.partition, each.first, each.last) for each in ours] if wanted != is_ else []
        yield Clause(
            name=name, holds=wanted == is_, agreed=wanted, ours=is_, offsets=offsets,
            spans=[] if wanted == is_ else whole,
        )  # fmt: skip


def _universe(store: Store, contract: Contract, run_id: str, trades: Sequence[Trade]) -> Clause:
    rows = store.rows(
        f"SELECT toString(asset) AS asset, partition, log_offset, ts_ms FROM violet_decisions WHERE {_INSIDE} "
        "AND asset NOT IN {known:Array(String)} ORDER BY ts_ms",
        {**anchor.within(run_id, contract.window), "known": list(contract.universe)},
    )
    strange = [trade for trade in trades if trade["asset"] not in contract.universe]
    return Clause(
        name="universe", holds=not rows and not strange, agreed=list(contract.universe),
        ours=sorted({row["asset"] for row in rows}), theirs=sorted({trade["asset"] for trade in strange}),
        offsets=[(row["partition"], row["log_offset"], row["log_offset"]) for row in rows],
        spans=[(row["ts_ms"], row["ts_ms"] + 1) for row in rows] + _entries(strange),
    )  # fmt: skip


def _imports(store: Store, contract: Contract, whole: list[Span]) -> Clause:
    agreed, window = contract.blue.imports, contract.window
    theirs = anchor.imports(store, contract.blue.label, window)
    strange = [] if agreed is None else sorted({each.import_id for each in {*agreed} ^ {*theirs}})
    spans = whole if strange else []
    if strange and {each.import_id for each in theirs} >= set(strange):  # all of them can be asked when they are about
        rows = store.rows(
            f"SELECT min(entry_ts_ms) AS first, max(entry_ts_ms) AS last FROM blue_cleaning WHERE {anchor.TRADED} "
            "AND import_id IN {ids:Array(String)} GROUP BY import_id",
            {**anchor.traded(contract.blue.label, window), "ids": strange},
        )
        spans = [(row["first"], row["last"] + 1) for row in rows]
    return Clause(
        name="blue.imports", holds=not strange, agreed=None if agreed is None else [each.import_id for each in agreed],
        theirs=[each.import_id for each in theirs], spans=spans,
    )  # fmt: skip


def _said(store: Store, contract: Contract, trades: Sequence[Trade]) -> Iterator[Clause]:
    """What BLUE says of itself, at every trade; where the contract was made before, at the first trade."""
    said = contract.blue.said or anchor.said(store, contract.blue.label, contract.window)
    for name in anchor.SAID:
        agreed = getattr(said, name, "")
        strange = [trade for trade in trades if trade[name] != agreed]
        theirs = strange[0][name] if strange else agreed
        yield Clause(name=f"blue.{name}", holds=not strange, agreed=agreed, theirs=theirs, spans=_entries(strange))


def _scan_ids(store: Store, run_id: str, trades: Sequence[Trade]) -> Clause:
    """Whether every scan that BLUE says it traded on is one of the run's."""
    wanted = {trade["scan_id"] for trade in trades} - {None}
    mine = "WHERE run_id = {run:String} AND scan_id IN {ids:Array(Int64)}"
    rows = store.rows(
        f"SELECT DISTINCT scan_id FROM {anchor.SCANS.format('scan_id', mine, 'scan_id', mine)}",
        {"run": run_id, "ids": sorted(wanted)},
    ) if wanted else []  # fmt: skip
    gone = wanted - {row["scan_id"] for row in rows}
    strange = [trade for trade in trades if trade["scan_id"] in gone]
    return Clause(
        name="blue.scans", holds=not strange, agreed="every scan that BLUE traded on", ours=len(rows),
        theirs=len(wanted), spans=_entries(strange),
    )  # fmt: skip


def _rates(contract: Contract, pairing: Pairing, bucket_of: Callable[[float], str]) -> Iterator[Clause]:
    """Of each group, whether its share of pairs may be the contract's floor; many groups share the error level."""
    n: dict[str, Counter[str]] = defaultdict(Counter)
    lost: dict[tuple[str, str], list[Trade]] = defaultdict(list)
    for pair in pairing.pairs:
        vel_div = pair.trade["vel_div"] if pair.trade["vel_div"] is not None else pair.decision["vel_div"]
        for kind, group in groups(pair.trade, vel_div, bucket_of).items():
            n[kind][group] += 1
    for trade in pairing.unpaired:
        for kind, group in groups(trade, trade["vel_div"], bucket_of).items():
            n[kind][group] += 1
            lost[kind, group].append(trade)
    count = sum(map(len, n.values()))
    for kind in ("asset", "hour", "vel_div"):
        low = [
            (group, trades) for (of, group), trades in sorted(lost.items())
            if of == kind and proportion(n[kind][group] - len(trades), n[kind][group], contract.alpha / count).high
            < contract.floors.pair_rate
        ]  # fmt: skip
        yield Clause(
            name=f"pair_rate.{kind}", holds=not low, agreed=f"at least {contract.floors.pair_rate}",
            theirs={group: f"{n[kind][group] - len(trades)} of {n[kind][group]}" for group, trades in low},
            spans=[span for _, trades in low for span in _entries(trades)],
        )  # fmt: skip


def _entries(trades: Iterable[Trade]) -> list[Span]:
    return [(trade["entry_ts_ms"], trade["entry_ts_ms"] + 1) for trade in trades]
