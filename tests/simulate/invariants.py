"""What must hold of the journal at the end of a seed: I1 to I5 and retention; I5, I7 and I10 are looked at on the way."""

import hashlib
from functools import cache

import msgspec

from journal.row import TABLES
from lanes.code import Outcome, Reject
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules


def completed(tables):
    """Offset after the last completed batch of each partition, whichever run it is of."""
    found = {}
    for row in tables.of("violet_batches", phase="COMPLETE"):
        found[row["partition"]] = max(found.get(row["partition"], 0), row["last_offset"] + 1)
    return found


def begun(tables, partition, offset):
    """Whether a batch that holds an offset was begun."""
    return any(row["last_offset"] >= offset for row in tables.of("violet_batches", partition=partition))


def state(tables):
    """Of the latest run; empty before there is one."""
    runs = _runs(tables)
    return runs[-1]["state"] if runs else ""


def _runs(tables):
    """The runs, the latest last, as a resume looks for it."""
    return sorted(tables.final("violet_runs"), key=lambda r: (r["begun"], r["started_at"], r["run_id"]))


def check(scenario):
    """What does not hold, in words."""
    tables = scenario.server.tables
    runs = _runs(tables)
    used = [run for run in runs if tables.of("violet_batches", run_id=run["run_id"])]
    found = []
    if used and used[-1] is not runs[-1]:
        found.append("a run that has batches is not the latest one")
    if open_too := [run["run_id"] for run in used[:-1] if run["state"] != "ENDED"]:
        found.append(f"another run was begun while {open_too} had not ended")
    for run in used:
        found += _run(scenario, run)
    return found + _rejects(tables) + scenario.lost_early


def _run(scenario, run):
    """What does not hold of one run."""
    tables, found, run_id = scenario.server.tables, [], run["run_id"]
    opened = sorted(tables.of("violet_segments", run_id=run_id), key=lambda r: r["epoch"])
    profiles = {r["segment"]: r["profile"] for r in opened}  # a fenced writer may have opened one late
    for p, at in enumerate(scenario.topic.partitions):
        complete = tables.final("violet_batches", phase="COMPLETE", partition=p, run_id=run_id)
        batches = sorted(complete, key=lambda r: r["first_offset"])
        found += _spans(batches, at, p)
        found += _rows(scenario, run, p, batches[-1]["last_offset"] if batches else -1, profiles)
        found += _state(batches[-1], at, p, profiles) if batches else []
    if not scenario.server.generation:  # else a fenced writer's clocks may stand there, as exactly-once.md says
        keys = [
            (r["partition"], r["first_offset"]) for r in tables.of("violet_batches", phase="COMPLETE", run_id=run_id)
        ]
        found += [f"a completed batch was written again: {key}" for key in sorted(set(keys)) if keys.count(key) > 1]
    return found


def _spans(batches, at, p):
    """Batches follow one another, and skip what the log never gives."""
    found, expected = [], 0
    for row in batches:
        gaps = [o for a, b in msgspec.json.decode(row["skipped"]) for o in range(a, b + 1)]
        if gaps != sorted({*range(expected, row["last_offset"] + 1)} - set(at.offsets)):
            found.append(f"I1: partition {p}, the batch up to {row['last_offset']} skips {gaps}")
        if not expected <= row["first_offset"] <= row["last_offset"] or {*range(expected, row["first_offset"])} - {
            *gaps
        }:
            found.append(f"I1: partition {p} has a batch from {row['first_offset']} on, expected {expected}")
        expected = row["last_offset"] + 1
    return found


def _rows(scenario, run, p, last, profiles):
    """Each offset has one outcome, the one that a calm reading gives (I1, I2, I3)."""
    found, there, at = [], {}, scenario.topic.partitions[p]
    for kind, table in TABLES.items():
        for row in scenario.server.tables.of(table, partition=p, run_id=run["run_id"]):
            there.setdefault(row["log_offset"], set()).add((kind, row["hash"], profiles.get(row["segment"])))
    calm = {profile: _calm(profile, p, tuple(at.offsets), tuple(at.values)) for profile in set(profiles.values())}
    for offset in at.offsets:
        got = there.pop(offset, set())
        if offset > last:
            if got and run["state"] != "HALTED":  # a batch that was in doubt stays so
                found.append(f"I1: partition {p} offset {offset} has a row behind the last batch")
            continue
        if not got:
            wanted = next(iter(calm.values()))[0][offset][0]
            if not (wanted is Outcome.PLANE and scenario.dropped(p, offset)):
                found.append(f"I1: partition {p} offset {offset} has no outcome")
            continue
        if len({(kind, row_hash) for kind, row_hash, _ in got}) != 1:
            found.append(f"I2: partition {p} offset {offset} has outcomes {sorted(map(str, got))}")
        for kind, row_hash, profile in got:
            wanted = calm[profile][0][offset]
            is_refused = (p, offset) in scenario.server.refuses and wanted[0] is Outcome.DECISION
            if kind is not (Outcome.REJECT if is_refused else wanted[0]) or (row_hash != wanted[1] and not is_refused):
                found.append(f"I3: partition {p} offset {offset} is {kind.name}, not as a calm reading has it")
    return found + [f"I1: partition {p} offset {o} was never in the log" for o in there]


def _state(batch, at, p, profiles):
    """The state behind the last batch is that of a calm reading up to there."""
    some = [i for i, offset in enumerate(at.offsets) if offset <= batch["last_offset"]]
    offsets, values = at.offsets[: len(some)], at.values[: len(some)]
    calm = _calm(profiles[batch["segment"]], p, tuple(offsets), tuple(values))
    return [] if batch["state"].encode() == calm[1] else [f"I3: partition {p} stands in another state"]


def _rejects(tables):
    """Each reject has a code, a digest of the whole record, and its bytes (I4)."""
    found = []
    for row in tables.rows["violet_rejects"]:
        raw = row["raw"] if isinstance(row["raw"], bytes) else row["raw"].encode()
        is_whole = not raw or row["digest"] == hashlib.sha256(raw).hexdigest()
        if row["code"] not in set(Reject) or len(row["digest"]) != 64 or not is_whole:
            found.append(f"I4: reject at {row['partition']}/{row['log_offset']} has no code, digest or bytes")
    return found


@cache
def _calm(profile, p, offsets, values):
    """Kind and hash of each offset's outcome where one reads all of it at once, and the state behind it."""
    if not offsets:
        return {}, b"{}"
    batch = step(
        State(),
        Chunk(p, list(offsets), list(values)),
        Rules(PROFILES[profile]),
        Decoder(),
        topic="t",
        segment=1,
        expected=0,
    )
    rows = {
        offset: (kind, row_hash)
        for kind, block in batch.rows.items()
        for offset, row_hash in zip(block.offsets.tolist(), block.hashes.tolist(), strict=True)
    }
    return rows, batch.state
