"""What the page shows, by SQL over the views: a window of the latest records, and the whole run at a slower pace.

A window is the last so many offsets of each partition, up to the last completed batch: its cost does not grow with the
run. It is cut into PLACES equal pieces, of which each gives lowest, mean and highest value, so what is sent is bounded.
See docs/design/watching.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from journal.blue.look import TRUST as BLUE_TRUST
from journal.blue.trust import told
from journal.engine.reader import NEWEST_FIRST
from journal.judge.explain import SCANS, aged, at, planes, waterfall
from journal.judge.gate import basis
from journal.judge.health import health
from journal.ledger import run as runs
from journal.ledger.claim import writers
from journal.ledger.pruned import pruned, utc
from journal.ledger.run import UPSTREAM, Run
from journal.store import Store
from lanes.registry import LANES

WINDOWS: Final = (2_000, 20_000, 200_000, 2_000_000)  # records
PLACES: Final = 240  # points of a line: as many as a narrow panel has pixels
BINS: Final = 30
FEED: Final = 60  # decisions that are listed
RUNS: Final = 200  # runs that are listed
LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_OUTCOMES: Final = ("decisions", "evaluations", "planes", "rejects")
_LANES: Final = tuple(lane.name for lane in LANES)
_BESIDE: Final = ("esof_fanin", "sc_mult")  # shown beside a lane's value, of the row
_LINES: Final = (*_LANES, "leverage")
_TOLD: Final = (
    "ts_ms, stream, toString(scan_id) AS scan_id, asset, vel_div, raw, cap, bound, leverage, partition, log_offset"
)


@dataclass(frozen=True, slots=True)
class Window:
    """Offsets of a run that are looked at, first and last of each partition, both included; where the run starts."""

    run_id: str
    spans: Mapping[int, tuple[int, int]]
    starts: Mapping[int, int]

    @classmethod
    def of(cls, run: Run, ends: Mapping[int, int], records: int) -> "Window":
        """The last `records` offsets, shared equally by the partitions, of what the run has completed."""
        each = max(1, records // max(1, len(ends)))
        starts = {int(partition): first for partition, first in run.start.items()}
        return cls(run.run_id, {p: (max(starts.get(p, 0), end - each + 1), end) for p, end in ends.items()}, starts)

    def where(self, behind: Mapping[int, int] | None = None) -> str:
        """Its rows; behind: only those after this offset of a partition."""
        behind = behind or {}
        spans = ((p, max(first, behind.get(p, -1) + 1), end) for p, (first, end) in self.spans.items())
        places = " OR ".join(f"(partition = {p} AND log_offset BETWEEN {first} AND {end})" for p, first, end in spans)
        return f"run_id = {{run:String}} AND ({places or 'false'})"

    @property
    def place(self) -> str:
        """SQL: how far into its partition's window an offset is, 0 to PLACES - 1."""
        firsts, counts = [f for f, _ in self.spans.values()], [e - f + 1 for f, e in self.spans.values()]
        cut = [f"transform(partition, {[*self.spans]}, {values}, 0)" for values in (firsts, counts)]
        return f"intDiv((log_offset - {cut[0]}) * {PLACES}, {cut[1]})"

    @property
    def params(self) -> dict[str, Any]:
        return {"run": self.run_id}

    def scans(self, columns: str) -> str:
        """SQL: decisions and evaluations of the window."""
        each = (f"SELECT {columns} FROM {view} WHERE {self.where()}" for view in ("decisions", "evaluations"))
        return f"({' UNION ALL '.join(each)})"


class Progress:
    """How far a run has come, read on from its batches, of which each look reads only the new ones."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self._counts = dict.fromkeys(_OUTCOMES, 0)
        self._scanned_at: datetime | None = None

    def read(self, store: Store, run_id: str) -> None:
        """Take in what was completed since."""
        newer = " OR ".join(f"(partition = {p} AND first_offset > {end})" for p, end in self.ends.items())
        others = f"partition NOT IN ({', '.join(map(str, self.ends))})" if self.ends else "true"
        counts = ", ".join(f"sum({name}) AS n_{name}" for name in _OUTCOMES)
        rows = store.rows(
            f"SELECT partition, max(last_offset) AS last, {counts}, n_decisions + n_evaluations > 0 AS scanned, "
            "maxIf(written_at, decisions + evaluations > 0) AS scanned_at FROM batches "
            f"WHERE run_id = {{run:String}} AND ({newer or 'false'} OR {others}) GROUP BY partition",
            {"run": run_id},
        )
        for row in rows:
            self.ends[row["partition"]] = row["last"]
            for name in _OUTCOMES:
                self._counts[name] += row[f"n_{name}"]
            if row["scanned"]:
                self._scanned_at = max(filter(None, (self._scanned_at, utc(row["scanned_at"]))))

    def counts(self, run: Run, now: datetime) -> dict[str, Any]:
        """Counts so far, and for how long no scan was journaled."""
        return {
            "run_id": run.run_id,
            "state": run.state,
            "records": sum(self._counts.values()),
            **self._counts,
            "silence_s": (now - self._scanned_at).total_seconds() if self._scanned_at else None,
        }


def series(store: Store, window: Window) -> dict[str, Any]:
    """Lines over event time: of each piece of the window its middle time and, of a value, lowest, mean and highest.

    Of raw and cap the highest alone. All are drawn and not computed with, so they are rounded.
    """
    lines = ", ".join(f"round({of}({name}), 6)" for name in _LINES for of in ("min", "avg", "max"))
    rows = store.rows(
        f"SELECT {window.place} AS place, quantileExact(0.5)(ts_ms) AS at, countIf(actuated) AS decided, "
        f"count() AS n, [{lines}] AS lines, round(max(raw), 6) AS raw, round(max(cap), 6) AS cap FROM "
        f"{window.scans('ts_ms, actuated, partition, log_offset, raw, cap, ' + ', '.join(_LINES))} "
        "GROUP BY place ORDER BY at",
        window.params,
    )
    return {
        "ts_ms": [row["at"] for row in rows],
        "scans": [row["n"] for row in rows],
        "decisions": [row["decided"] for row in rows],
        "lines": {
            name: [[row["lines"][3 * number + part] for row in rows] for part in range(3)]
            for number, name in enumerate(_LINES)
            if any(row["lines"][3 * number] is not None for row in rows)  # a lane beyond the five may be off
        }
        | {name: [[row[name] for row in rows]] for name in ("raw", "cap")},
    }


def distribution(store: Store, window: Window) -> dict[str, Any]:
    """Exact quantiles of each lane over the window, and how many scans fall into each of BINS equal bins."""
    levels = ", ".join(map(str, LEVELS))
    parts = ", ".join(f"(min({x}), max({x}), quantilesExactLow({levels})({x}), count({x}))" for x in _LANES)
    scans = window.scans(", ".join(_LANES))
    (found,) = store.rows(f"SELECT count() AS n, [{parts}] AS lanes FROM {scans}", window.params)
    if not found["n"]:
        return {}
    known = {name: row for name, row in zip(_LANES, found["lanes"], strict=True) if row[3]}
    bounds = {name: (row[0], row[1]) for name, row in known.items()}
    bins = ", ".join(
        f"('{name}', toUInt8(least({BINS - 1}, greatest(0, floor(({name} - {{{name}_low:Float64}}) "
        f"/ {{{name}_width:Float64}})))))"
        for name in bounds
    )
    widths = {f"{name}_width": (high - low) / BINS or 1.0 for name, (low, high) in bounds.items()}
    rows = store.rows(
        f"SELECT bin.1 AS lane, bin.2 AS place, count() AS n FROM (SELECT arrayJoin([{bins}]) AS bin FROM {scans}) "
        "WHERE isNotNull(place) GROUP BY lane, place",
        {**window.params, **widths, **{f"{name}_low": low for name, (low, _) in bounds.items()}},
    )
    counts = {name: [0] * BINS for name in known}
    for row in rows:
        counts[row["lane"]][row["place"]] = row["n"]
    return {
        name: {"n": row[3], "min": row[0], "max": row[1], "quantiles": list(row[2]), "counts": counts[name]}
        for name, row in known.items()
    }


def bounds(store: Store, window: Window) -> dict[str, int]:
    """Which term fixed the leverage of the window's decisions."""
    sql = f"SELECT bound, count() AS n FROM decisions WHERE {window.where()} GROUP BY bound ORDER BY n DESC, bound"
    return {row["bound"]: row["n"] for row in store.rows(sql, window.params)}


def feed(store: Store, window: Window, behind: Mapping[int, int]) -> list[dict[str, Any]]:
    """The latest decisions after some offsets, the newest first."""
    sql = (
        f"SELECT {_TOLD} FROM decisions WHERE {window.where(behind)} ORDER BY ts_ms DESC, log_offset DESC LIMIT {FEED}"
    )
    return store.rows(sql, window.params)


class Latest:
    """The last scan of a window, with the planes as of it: they are read on from where the last look ended."""

    def __init__(self) -> None:
        self._planes: dict[tuple[int, str], tuple[int, dict[str, dict[str, Any]]]] = {}

    def __call__(self, store: Store, window: Window) -> dict[str, Any] | None:
        """The outcome with its waterfall, or None where the window holds no scan.

        planes_from: offset from which on planes are stored; one that is not there may have come before it.
        """
        columns = "ts_ms, partition, log_offset"
        rows = store.rows(
            f"SELECT partition, log_offset FROM {window.scans(columns)} ORDER BY {window.place} DESC, ts_ms DESC, "
            "log_offset DESC LIMIT 1",
            window.params,
        )
        if not rows:
            return None
        (row,) = at(store, window.run_id, rows[0]["partition"], rows[0]["log_offset"], SCANS)
        key = (row["partition"], row["stream"])
        behind, known = self._planes.get(key, (-1, {}))
        known = {**known, **{plane["name"]: plane for plane in planes(store, row, behind)}}
        self._planes[key] = (row["log_offset"] - 1, known)
        gone = pruned(store, window.run_id).get(row["partition"])
        return {
            **waterfall(row),
            "planes": [aged(known[name], row["ts_ms"]) for name in sorted(known)],
            "planes_from": max(window.starts.get(row["partition"], 0), gone.last_offset + 1 if gone else 0),
        }


def whole(store: Store, run: Run, data: Path, now: datetime) -> dict[str, Any]:
    """Health, verdict and what it rests on, and provenance of a run: whole-run figures, as `violet status` has them."""
    found = health(store, run, data, writer=writers(store, data, [run]).get(run.name, ""), at=now)
    last = runs.segments(store, run.run_id)
    params = msgspec.json.decode(last[-1].params) if last else {}
    kernels = last[-1].kernels if last else {}
    where = {"run": run.run_id}
    by_code = "SELECT code, count() AS n FROM rejects WHERE run_id = {run:String} GROUP BY code ORDER BY n DESC, code"
    by_bound = "SELECT bound, count() AS n FROM decisions WHERE run_id = {run:String} GROUP BY bound ORDER BY n DESC"
    return {
        **found,
        "basis": basis(run) + (f"; {found['held']}" if found["held"] else ""),
        **told(store, run),
        "started_at": run.started_at,
        "source": run.source.get("path") or run.source.get("topic") or run.source.get("kind"),
        "versions": dict(run.versions),
        "params_hash": last[-1].params_hash if last else None,
        "segments": len({segment.segment for segment in last}),
        "rejects_by_code": {row["code"]: row["n"] for row in store.rows(by_code, where)},
        "bounds": {row["bound"]: row["n"] for row in store.rows(by_bound, where)},
        "lanes": [
            {
                "lane": lane.name,
                "formula": lane.formula,
                "source": lane.source,
                "planes": lane.plane_names,
                "components": lane.components,
                "reads": [*lane.scanned, *(c for c in (lane.shows or {}).values() if c in _BESIDE)],
                "params": params.get(lane.name, {}),
                "provenance": "wrapped" if lane.name in kernels
                else "stand-in" if lane.name in run.standins else "default",
                "kernel": kernels.get(lane.name, ""),
            }
            for lane in LANES
        ],
        "upstream": [name for name in UPSTREAM if name in run.standins],
        "blue": [row["label"] for row in store.rows(
            "SELECT DISTINCT label FROM blue_imports WHERE state = 'COMPLETE' ORDER BY label"
        )],
    }  # fmt: skip


def listed(store: Store) -> list[dict[str, Any]]:
    """Runs to choose from, the newest first."""
    return store.rows(
        f"SELECT run_id, name, state, profile, started_at, replay_of FROM runs ORDER BY {NEWEST_FIRST} LIMIT {RUNS}"
    )


def beside(store: Store, run_id: str) -> list[dict[str, Any]]:
    """A run beside BLUE's trades, by whose they are: REAL or STAND-IN. Figures of the views; none is a verdict."""

    def rows(columns: str, view: str, rest: str) -> list[dict[str, Any]]:
        return store.rows(f"SELECT {columns} FROM {view} WHERE run_id = {{run:String}} {rest}", {"run": run_id})

    sized = "countIf(is_colocated AND recorded IS NOT NULL) AS sized, countIf(is_identical) AS identical"
    pairs = rows(
        f"label, count() AS trades, countIf(is_colocated) AS colocated, {sized}", "blue_pairs",
        "GROUP BY label ORDER BY label",
    )  # fmt: skip
    universe = rows("label, count() AS assets, countIf(is_covered) AS covered", "blue_universe", "GROUP BY label")
    why = rows("label, why, count() AS trades", "blue_unmatched", "GROUP BY label, why ORDER BY trades DESC, why")
    by_size = "ORDER BY vel_div = 'all', vel_div, dc_status = 'all', dc_status"
    buckets = rows("* EXCEPT run_id", "blue_buckets", by_size)
    return [
        {**row, "trust": BLUE_TRUST[row["label"]], **_mine(universe, row)[0],
         "unmatched": {each["why"]: each["trades"] for each in _mine(why, row)}, "buckets": _mine(buckets, row)}
        for row in pairs
    ]  # fmt: skip


def _mine(rows: Sequence[dict[str, Any]], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each for each in rows if each["label"] == row["label"]]
