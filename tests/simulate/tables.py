"""The journal's tables as ClickHouse keeps them, and its answers to the questions that a soak asks.

An insert whose token is known is dropped. Of rows with one key those of the highest version, and of these the last one,
are final. Each question is known by how its SQL begins; one that is not known fails. That the answers are ClickHouse's
is tested: `test_simulate.py` asks the real engine every question of some seeds again.
"""

import re
from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np

from journal.row import TABLES, Coded, present, rows
from lanes.code import Outcome

KIND = {table: kind for kind, table in TABLES.items()}
_OUTCOME_KEY = ("run_id", "topic", "partition", "log_offset")
KEYS = {
    "violet_runs": ("run_id",),
    "violet_segments": ("run_id", "segment", "topic", "partition", "epoch"),
    "violet_batches": ("run_id", "topic", "partition", "first_offset", "phase", "attempt"),
    "violet_claims": ("name", "epoch", "holder"),
    "violet_pruned": ("run_id", "topic", "partition", "last_offset"),
    **dict.fromkeys(TABLES.values(), _OUTCOME_KEY),
}
VERSIONS = {"violet_runs": "revision", "violet_claims": "beat"}
_DROPPED = re.compile(r"\(partition = (\d+) AND \w+ <= (-?\d+)\)")
_SPANS = re.compile(r"partition = (\d+) AND \w+ BETWEEN (\d+) AND (-?\d+)")
_BEHIND = re.compile(r"\(partition = (\d+) AND first_offset > (-?\d+)\)")
_OTHERS = re.compile(r"partition NOT IN \(([\d, ]+)\)")


class Tables:
    """All rows that were inserted, by table; `dropped` counts inserts that their token dropped.

    wrong: what no insert may do, in words.
    """

    def __init__(self):
        self.rows = defaultdict(list)
        self.tokens = defaultdict(dict)
        self.wrong, self.dropped = [], Counter()

    def insert(self, table, columns, token):
        """Insert rows as one block; False where the token is known."""
        new = _block(table, columns)
        if token in self.tokens[table]:
            self.dropped[table] += 1
            if table in KIND and [(r["log_offset"], r["hash"]) for r in new] != self.tokens[table][token]:
                self.wrong.append(f"{table}: a token dropped other rows than those that it stands for: {token}")
            return False
        self.tokens[table][token] = [(r["log_offset"], r["hash"]) for r in new] if table in KIND else []
        self.rows[table] += new
        return True

    def forget(self):
        """So many other inserts came that no token is known any more."""
        self.tokens.clear()

    def of(self, table, **wanted):
        """Raw rows with these values."""
        return [row for row in self.rows[table] if all(row[name] == value for name, value in wanted.items())]

    def final(self, table, **wanted):
        """Of each key the row that stays."""
        key, version = KEYS[table], VERSIONS.get(table)
        kept = {}
        for row in self.of(table, **wanted):
            here = tuple(row[name] for name in key)
            if version is None or here not in kept or row[version] >= kept[here][version]:
                kept[here] = row
        return list(kept.values())

    def ask(self, sql, params):
        """The answer to a question, as rows."""
        for beginning, answer in ANSWERS:
            if sql.startswith(beginning):
                return answer(self, sql, dict(params or {}))
        raise AssertionError(f"a question that the simulation does not know; add its answer to tables.py: {sql}")

    def command(self, sql, params):
        """A change in place: what retention drops."""
        run, ends = params["run"], _ends(sql)
        if sql.startswith("ALTER TABLE violet_planes DELETE"):
            self.rows["violet_planes"] = [
                r for r in self.rows["violet_planes"] if not (r["run_id"] == run and _in(ends, r))
            ]  # fmt: skip
            return
        if not sql.startswith("ALTER TABLE violet_rejects UPDATE"):
            raise AssertionError(f"a command that the simulation does not know: {sql}")
        for row in self.of("violet_rejects", run_id=run):
            if _in(ends, row):
                row["raw"] = b""


def naive(at):
    """A time as the driver gives it: UTC to the millisecond, without saying so."""
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _block(table, columns):
    values = {name: _plain(column) for name, column in columns.items()}
    if table in KIND:
        kind = KIND[table]
        offsets = np.asarray(columns["log_offset"], dtype=np.int64)
        values["hash"] = rows(kind, offsets, {c.name: columns[c.name] for c in present(kind, columns)}).hashes.tolist()
        kept = ("run_id", "segment", "topic", "partition", "log_offset", "hash", "stream", "ts_ms")
        kept += {Outcome.PLANE: (), Outcome.REJECT: ("scan_id", "code", "digest", "raw", "bytes")}.get(
            kind, ("scan_id",)
        )
        values = {name: values[name] for name in kept}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _plain(column):
    if isinstance(column, Coded):
        return column.strings()
    found = column.tolist() if isinstance(column, np.ndarray) else list(column)
    return [naive(value) for value in found] if found and isinstance(found[0], datetime) else found


def _ends(sql):
    return {int(p): int(end) for p, end in _DROPPED.findall(sql)}


def _in(ends, row, offset="log_offset"):
    return row["partition"] in ends and row[offset] <= ends[row["partition"]]


def _complete(tables, run):
    return tables.final("violet_batches", run_id=run, phase="COMPLETE")


def _intended(tables, sql, run):
    """Intents whose rows may be there, as INTENDED says it."""
    least = max((row["epoch"] for row in tables.of("violet_segments", run_id=run)), default=0)
    if "attempt >= (SELECT max(epoch) FROM violet_segments" not in sql:
        least = 0
    return [row for row in tables.final("violet_batches", run_id=run, phase="INTENT") if row["attempt"] >= least]


# -- claims, runs, segments, incidents -----------------------------------------------------------------------------


def _holders(tables, sql, params):
    found = {(r["epoch"], r["holder"]) for r in tables.of("violet_claims", name=params["name"])}
    return [{"epoch": epoch, "holder": holder} for epoch, holder in sorted(found) if epoch >= params["epoch"]]


def _highest(tables, sql, params):
    return [{"max(epoch)": max((r["epoch"] for r in tables.of("violet_claims", name=params["name"])), default=0)}]


def _claimed(tables, sql, params):
    found = tables.final("violet_claims", name=params["name"])
    names = ("name", "epoch", "holder", "place", "who", "beat", "released")
    best = min(found, key=lambda r: (-r["epoch"], r["holder"]), default=None)
    return [] if best is None else [{name: best[name] for name in names}]


def _find(tables, sql, params):
    found = [
        row
        for row in tables.final("violet_runs")
        if params["run"] in ("", row["run_id"]) and params["name"] in ("", row["name"])
    ]
    ordered = sorted(found, key=lambda r: (r["begun"], r["started_at"], r["run_id"]), reverse=True)
    return [dict(row) for row in ordered[:1]]


def _begun(tables, sql, params):
    return [{"max(begun)": max((row["begun"] for row in tables.rows["violet_runs"]), default=0)}]


def _last_word(tables, sql, params):
    stamps = (("violet_batches", "written_at"), ("violet_runs", "changed_at"), ("violet_claims", "at"))
    return [
        {
            "at": max(
                [naive(datetime.fromtimestamp(0, UTC))]
                + [row[name] for table, name in stamps for row in tables.rows[table]]
            )
        }
    ]


def _ids(tables, sql, params):
    found = tables.final("violet_runs")
    return [
        {"run_id": row["run_id"]}
        for row in found
        if params["name"] in ("", row["name"]) and (not params["rest"] or row["state"] != "RUNNING")
    ]


def _segments(tables, sql, params):
    found = tables.final("violet_segments", run_id=params["run"])
    return sorted(map(dict, found), key=lambda r: (r["segment"], r["topic"], r["partition"]))


def _seen(tables, sql, params):
    found = Counter()
    for row in tables.of("violet_incidents", run_id=params["run"]):
        if row["at"].date() == params["day"]:
            found[row["code"]] += row["count"]
    return [{"code": code, "n": n} for code, n in found.items()]


def _nameless(tables, sql, params):
    known = {row["run_id"] for row in tables.rows["violet_runs"]}
    return [{"partition": run} for run in sorted({r["run_id"] for r in tables.rows["violet_batches"]} - known)]


# -- where a run stands --------------------------------------------------------------------------------------------


def _standing(tables, sql, params):
    complete = tables.of("violet_batches", run_id=params["run"], phase="COMPLETE")
    last = {}
    for row in complete:
        last[row["partition"]] = max(last.get(row["partition"], -1), row["first_offset"])
    return [
        {"partition": r["partition"], "last": r["last_offset"], **{n: r[n] for n in ("state", "last_record", "last_epoch")}}
        for r in complete
        if r["first_offset"] == last[r["partition"]]
    ]  # fmt: skip


def _doubts(tables, sql, params):
    behind = {int(p): int(last) for p, last in _BEHIND.findall(sql)}
    named = _OTHERS.search(sql)
    known = set(map(int, named[1].split(","))) if named else set()
    found = [
        row
        for row in _intended(tables, sql, params["run"])
        if row["partition"] not in known or row["first_offset"] > behind.get(row["partition"], 1 << 62)
    ]
    names = ("partition", "first_offset", "last_offset", "digest", "segment")
    return [{name: row[name] for name in names} for row in sorted(found, key=lambda r: r["attempt"])]


def _identities(tables, sql, params):
    found = set()
    for table in ("violet_decisions", "violet_evaluations", "violet_rejects"):
        for row in tables.of(table, run_id=params["run"], partition=params["partition"]):
            is_scan = table != "violet_rejects" or (row["scan_id"] >= 0 and row["code"] in (301, 302, 401))
            is_asked = not params["streams"] or row["stream"] in params["streams"]
            if is_scan and is_asked and params["first"] <= row["log_offset"] <= params["last"]:
                found.add((row["log_offset"], row["stream"], row["scan_id"], row["ts_ms"]))
    taken, answer = Counter(), []
    for offset, stream, scan_id, ts_ms in sorted(found, reverse=True):
        taken[stream] += 1
        if taken[stream] <= params["n"]:
            answer.append({"stream": stream, "scan_id": scan_id, "ts_ms": ts_ms, "log_offset": offset})
    return answer


def _audited(tables, sql, params):
    run, name, ends = params["run"], re.search(r"sum\((\w+)\)", sql)[1], _ends(sql)
    complete = _complete(tables, run)
    counted = sum(row[name] for row in complete if not _in(ends, row, "last_offset"))
    done = {(row["partition"], row["first_offset"]) for row in complete}
    doubts = [r for r in _intended(tables, sql, run) if (r["partition"], r["first_offset"]) not in done]
    inside = {(r["partition"], at) for r in doubts for at in range(r["first_offset"], r["last_offset"] + 1)}
    there = {
        (r["partition"], r["log_offset"]) for r in tables.of(f"violet_{name}", run_id=run) if not _in(ends, r)
    }  # fmt: skip
    return [{"counted": counted, "there": len(there - inside)}]


# -- retention -----------------------------------------------------------------------------------------------------


def _pruned(tables, sql, params):
    found = defaultdict(list)
    for row in tables.final("violet_pruned", run_id=params["run"]):
        found[row["topic"], row["partition"]].append(row)
    return [
        {
            "topic": topic, "partition": partition, "last": max(r["last_offset"] for r in some),
            "up_to_at": max(some, key=lambda r: r["last_offset"])["up_to"],
            "n_planes": sum(r["planes"] for r in some), "n_rejects": sum(r["rejects"] for r in some),
        }
        for (topic, partition), some in sorted(found.items(), key=lambda each: each[0][1])
    ]  # fmt: skip


def _aged(tables, sql, params):
    found = defaultdict(list)
    for row in _complete(tables, params["run"]):
        if row["written_at"] < naive(params["before"]):
            found[row["topic"], row["partition"]].append(row)
    return [
        {
            "topic": topic, "partition": partition, "last": max(r["last_offset"] for r in some),
            "up_to": max(r["written_at"] for r in some),
        }
        for (topic, partition), some in sorted(found.items(), key=lambda each: each[0][1])
    ]  # fmt: skip


def _corrupt(tables, sql, params):
    kind = re.search(r"FROM (violet_(decisions|evaluations|planes|rejects)) FINAL", sql)
    spans = {int(p): (int(first), int(end)) for p, first, end in _SPANS.findall(sql)}
    ends, name, bad = _ends(sql), kind[2], []
    inside = tables.final(kind[1], run_id=params["run"])
    for batch in _complete(tables, params["run"]):
        first, end = spans.get(batch["partition"], (0, -1))
        if not first <= batch["last_offset"] <= end or _in(ends, batch, "last_offset"):
            continue
        span = range(max(first, batch["first_offset"]), batch["last_offset"] + 1)
        mine = [r["hash"] for r in inside if r["partition"] == batch["partition"] and r["log_offset"] in span]
        if len(mine) != batch[name] or sum(mine) % 2**64 != batch[f"{name}_hash"]:
            bad.append({n: batch[n] for n in ("topic", "partition", "first_offset", "last_offset")})
    return bad


def _counts(tables, sql, params):
    spans = {int(p): (int(first), int(end)) for p, first, end in _SPANS.findall(sql)}
    inside = [
        row
        for row in _complete(tables, params["run"])
        if row["partition"] in spans and spans[row["partition"]][0] <= row["last_offset"] <= spans[row["partition"]][1]
    ]
    return [{"planes": sum(r["planes"] for r in inside), "rejects": sum(r["rejects"] for r in inside)}]


def _left(tables, sql, params):
    table, ends = re.search(r"FROM (violet_\w+)", sql)[1], _ends(sql)
    found = [r for r in tables.of(table, run_id=params["run"]) if _in(ends, r)]
    return [{"count()": sum(1 for r in found if table == "violet_planes" or r["raw"])}]


ANSWERS = (
    ("SELECT DISTINCT epoch, holder FROM violet_claims", _holders),
    ("SELECT max(epoch) FROM violet_claims", _highest),
    ("SELECT name, epoch, holder, place, who, beat, released FROM violet_claims FINAL", _claimed),
    ("SELECT * FROM violet_runs FINAL WHERE ({run:String} = ''", _find),
    ("SELECT max(begun) FROM violet_runs", _begun),
    ("SELECT greatest((SELECT max(written_at)", _last_word),
    ("SELECT run_id FROM runs WHERE", _ids),
    ("SELECT * FROM violet_segments FINAL WHERE run_id", _segments),
    ("SELECT code, sum(count) AS n FROM violet_incidents", _seen),
    ("SELECT table, part, how, reason, rows FROM damage", lambda tables, sql, params: []),
    ("SELECT DISTINCT partition FROM system.parts", _nameless),
    ("SELECT partition, last_offset AS last, state, last_record, last_epoch FROM violet_batches", _standing),
    ("SELECT partition, first_offset, last_offset, digest, segment FROM violet_batches FINAL", _doubts),
    ("SELECT stream, scan_id, ts_ms, log_offset FROM (SELECT DISTINCT", _identities),
    ("SELECT (SELECT sum(", _audited),
    ("SELECT topic, partition, max(last_offset) AS last, argMax(up_to", _pruned),
    ("SELECT topic, partition, max(last_offset) AS last, max(written_at)", _aged),
    ("SELECT t.topic AS topic, t.partition AS partition", _corrupt),
    ("SELECT sum(planes) AS planes, sum(rejects) AS rejects FROM violet_batches", _counts),
    ("SELECT count() FROM violet_planes WHERE", _left),
    ("SELECT count() FROM violet_rejects WHERE", _left),
)
