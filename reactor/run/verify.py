"""Verify: recompute a run's outcomes and compare them, row by row, with what was journaled.

The records come from the archive or the broker's log where either is there, else from the journal's own stored inputs
(planes, and of each scan its vel_div, w750, dc_status, asset): then lanes and fan-in alone are proved, and it says so.
Where retention dropped stored inputs, it begins behind them, from the state of the batch that ends there.
See docs/design/running.md.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from journal.judge import damage, stored
from journal.judge.count import content_hash_sql, corrupt_batches
from journal.judge.gate import FAIL, HOLD, PASS, carried, counted
from journal.judge.scope import Scope
from journal.ledger.identity import identities
from journal.ledger.pruned import pruned
from journal.ledger.run import CARRIED, Run, Segment, pick, segments
from journal.refusal import Refusal
from journal.row import Batch
from journal.store import Store
from lanes.code import Outcome, Reason, Reject
from lanes.fingerprint import math_fingerprint
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import MAX_BYTES, Decoder, Irp, Plane, Scan, Value
from reactor.evaluate.state import IDENTITIES, State, fields
from reactor.evaluate.step import advance, step
from reactor.evaluate.walk import Rules
from reactor.log import archive
from reactor.log.connection import Connection
from reactor.run.foreign import load
from reactor.run.position import Ranges, warm
from reactor.run.prefix import alone, lanes_ahead
from reactor.run.provenance import code_hash
from reactor.run.source import BrokerSource

_CHUNK: Final = 16_384  # records recomputed at a time
_SCAN_COLUMNS: Final = ("stream", "scan_id", "ts_ms", "asset", "vel_div", "w750", "dc_status", "reasons")
_NAMED: Final = 20  # offsets named in a report at most


@dataclass(slots=True)
class Report:
    """What was recomputed from where, and the offsets that differ."""

    source: str
    recomputed: int = 0
    content_hash: int = 0
    differing: list[str] = field(default_factory=list)
    n_differing: int = 0
    ahead: set[str] = field(default_factory=set)  # lanes that look ahead
    starts: dict[int, int] = field(default_factory=dict)  # where it begins, in partitions whose first inputs are gone

    def differ(self, partition: int, offset: int, words: str) -> None:
        """Count a difference; the first few are named."""
        self.n_differing += 1
        if len(self.differing) < _NAMED:
            self.differing.append(f"partition {partition} offset {offset}: {words}")


def verify(
    store: Store,
    run: Run,
    broker: Connection | None,
    on_batch: Callable[[int], None] = lambda n: None,
    *,
    prefix: bool = False,
) -> dict[str, Any]:
    """Figures of a run as the summary names them, and the recomputation's. Raises Refusal where nothing can be read.

    prefix: each record is evaluated where the log ends with it, which shows a lane that looks ahead.
    """
    while True:
        scope = Scope.of(store, run.run_id)
        result = _verify(store, run, scope, broker, on_batch, prefix)
        if result["verdict"] == PASS or pruned(store, run.run_id) == scope.dropped:
            return result  # else retention went on meanwhile, and took what it compared


def _verify(
    store: Store, run: Run, scope: Scope, broker: Connection | None, on_batch: Callable[[int], None], prefix: bool
) -> dict[str, Any]:
    report = _recompute(store, run, scope, broker, on_batch, prefix)
    opened = segments(store, run.run_id)
    found = counted(store, run, scope)
    journaled = store.rows(content_hash_sql(replace(scope, starts=report.starts)), scope.params)[0]["content_hash"] or 0
    corrupt = [
        f"{b['topic']}/{b['partition']} {b['first_offset']}-{b['last_offset']}" for b in corrupt_batches(store, scope)
    ]
    same = report.n_differing == 0 and report.content_hash == journaled and report.recomputed > 0
    whole = not (found["lost"] or found["doubled"] or corrupt)
    damaged = damage.parts(store)
    sound = same and whole and not damaged
    compared = bool(report.recomputed or report.n_differing)  # of nothing, nothing is proved
    # Of segments that another arithmetic decided a difference in the last bits proves nothing.
    elsewhere = [s for s in opened if s.math_fingerprint not in ("", math_fingerprint())]
    return {
        "run_id": run.run_id,
        "verdict": PASS if sound else HOLD if whole and not damaged and (elsewhere or not compared) else FAIL,
        "recomputed_from": report.source,
        "recomputed": report.recomputed,
        "recomputed_behind": {str(p): at - 1 for p, at in report.starts.items()},
        "by_other_code": [s.segment for s in opened if s.code_hash != code_hash()],
        "math_fingerprint": math_fingerprint(),
        "by_other_arithmetic": {s.segment: s.math_fingerprint for s in elsewhere},
        "recomputed_hash": f"{report.content_hash:016x}",
        "identical": same,
        "differing": report.n_differing,
        "first_differing": report.differing,
        **({"lanes_ahead": sorted(report.ahead)} if prefix else {}),
        "corrupt_batches": corrupt,
        "damaged": damaged,
        "content_hash_sql": content_hash_sql(scope).replace("{run:String}", f"'{run.run_id}'"),
        **found,
        **carried(run, found),
    }


def _recompute(
    store: Store,
    run: Run,
    scope: Scope,
    broker: Connection | None,
    on_batch: Callable[[int], None],
    prefix: bool = False,
) -> Report:
    opened, only = segments(store, run.run_id), None
    is_foreign = any(segment.kernels for segment in opened)
    # Rejects that were evaluated again are stored whole.
    found = records(store, run, broker, whole=is_foreign and not run.is_retry, partial=run.is_retry)
    if run.is_retry:
        # Its records are some of its original's, which move the state on; here's kernels are those of the retry.
        only, kernels = stored.offsets(store, run.run_id), opened[0].kernels
        scope = Scope.of(store, run.replay_of)
        opened = [replace(each, kernels=kernels) for each in segments(store, run.replay_of)]
        run = replace(run, start={str(partition): 0 for partition in only})
    report = Report(found.words, starts=dict(found.starts))
    with closing(found):
        for partition in map(int, run.start):
            state, decoder = None, Decoder()
            begin = found.starts.get(partition, 0)
            for segment, first, last in spans(store, scope, opened, partition):
                if last < begin:
                    continue
                rules = rules_of(segment)
                if state is None:
                    first_of = next(each for each in opened if each.partition == partition)
                    state = found.state(first_of, run.warm, rules)
                for chunk, is_mine in _chosen(found.ranges(partition, max(first, begin), last + 1), only, partition):
                    if not is_mine:
                        advance(state, chunk, rules, decoder)
                        continue
                    dropped, of = scope.dropped_ends.get(partition, -1), (segment.topic, segment.segment)
                    if prefix:
                        each = alone(state, chunk, rules, decoder, topic=of[0], segment=of[1])
                        differing = _compare(store, run, each.whole, report, dropped)
                        report.ahead |= lanes_ahead(store, run.run_id, rules.profile, each, differing)
                    else:
                        batch = step(
                            state, chunk, rules, decoder, topic=of[0], segment=of[1], expected=chunk.offsets[0]
                        )
                        _compare(store, run, batch, report, dropped)
                    on_batch(report.recomputed)
    return report


def _chosen(
    chunks: Iterator[Chunk], only: Mapping[int, Collection[int]] | None, partition: int
) -> Iterator[tuple[Chunk, bool]]:
    """Chunks, cut where only some offsets are asked for, each with whether it is."""
    for chunk in chunks:
        if only is None:
            yield chunk, True
        else:
            yield from pieces(chunk, only[partition])


def pieces(chunk: Chunk, wanted: Collection[int]) -> Iterator[tuple[Chunk, bool]]:
    """A chunk cut into stretches of offsets that are wanted, and of others; each with whether it is."""
    for is_wanted, offsets in groupby(chunk.offsets, lambda at: at in wanted):
        head, chunk = chunk.split(len(list(offsets)))
        yield head, is_wanted


@dataclass(frozen=True, slots=True)
class Records:
    """A run's records, to be read again.

    words: from where. lows: first offsets of its partitions there; none where only its stored inputs are left. starts:
    where in a partition they begin, if not at the run's start; kept: the state there, of stored inputs.
    """

    words: str
    ranges: Ranges
    lows: Mapping[int, int]
    starts: Mapping[int, int] = field(default_factory=dict)
    kept: Callable[[Segment], State] | None = None
    close: Callable[[], None] = lambda: None

    @property
    def stored(self) -> bool:
        """Whether they are the journal's stored inputs: no prices and irp, and nothing from before the run."""
        return not self.lows

    def state(self, segment: Segment, warmth: str, rules: Rules) -> State:
        """The state before the first of a partition's records: as it was stored, with the identities before it."""
        if self.kept is not None:
            return self.kept(segment)
        partition, start, low = segment.partition, segment.first_offset, self.lows.get(segment.partition, 0)
        before = State()
        if warmth == CARRIED:
            return State.load(segment.state.encode(), ())
        if warmth == "EXACT":
            decoder = Decoder()
            for chunk in self.ranges(partition, low, start):
                advance(before, chunk, rules, decoder)
        else:
            before, _ = warm(self.ranges, partition, low, start, rules)
        return State.load(segment.state.encode(), before.identities())


def behind(store: Store, run: Run, topic: str, partition: int, last: int) -> State:
    """The state after the batch that ends at an offset, as a resume would have it."""
    found = stored.state_before(store, run.run_id, topic, partition, last + 1)
    if found is None:
        raise Refusal(f"run {run.run_id} has no batch up to offset {last} of partition {partition}; fix: a backup")
    return State.load(found[1], identities(store, run.run_id, partition, last, IDENTITIES))


def records(
    store: Store, run: Run, broker: Connection | None, *, whole: bool, late: bool = False, partial: bool = False
) -> Records:
    """Where a run's records are to be had; a replay's are those of its original.

    Args:
        whole: kernels ask for more of them than is stored.
        late: a log that lost the run's first records will do.
        partial: stored rejects may lack their ends.

    Raises:
        Refusal: what is left is not enough.
    """
    while run.replay_of:
        run = pick(store, run.replay_of)
    source = run.source
    if source["kind"] == "archive":
        path = Path(source["path"])
        if path.is_file() and archive.sha256(path) == source["sha256"]:
            return Records("archive", archive.ranges(path), {0: 0})
    elif broker is not None and broker.bootstrap_servers:
        log = BrokerSource(broker, source["topic"], f"{run.name}-verify")
        with ExitStack() as stack:
            stack.callback(log.close)
            if any(log.identity[name] != source[name] for name in ("cluster", "topic_id")):
                place = f"--bootstrap-servers {broker.bootstrap_servers}"
                raise Refusal(f"{place}: not the cluster and topic that run {run.run_id} read; fix: name its broker")
            lows = log.lows()
            if late or all(lows[int(p)] <= at for p, at in run.start.items()):
                return Records("log", log.range, lows, close=stack.pop_all().close)
            # else it lost the run's first records
    if whole:
        raise Refusal("foreign kernels read whole records, from the archive or log alone; fix: bring it back")
    dropped = pruned(store, run.run_id)
    ends = {partition: each.last_offset for partition, each in dropped.items()}
    if not partial and (cut := stored.cut_rejects(store, run.run_id, MAX_BYTES, ends)):
        raise Refusal(
            f"{cut} rejects of run {run.run_id} are stored without their ends, so what is stored cannot give them "
            "again; fix: bring its archive back, or --bootstrap-servers with its topic"
        )
    words = "stored inputs (lanes and fan-in; prices and irp are not stored)"
    if dropped:
        words += f"; behind what retention dropped: {', '.join(map(str, dropped.values()))}"

    def kept(segment: Segment) -> State:
        partition = segment.partition
        if partition in dropped:
            return behind(store, run, segment.topic, partition, dropped[partition].last_offset)
        if run.warm == CARRIED:
            return State.load(segment.state.encode(), ())
        return State.load(segment.state.encode(), stored.repeats(store, run.run_id, segment.topic, partition))

    starts = {partition: end + 1 for partition, end in ends.items()}
    return Records(words, stored_inputs(store, run), {}, starts, kept)


def spans(store: Store, scope: Scope, opened: list[Segment], partition: int) -> Iterator[tuple[Segment, int, int]]:
    """Offsets that each segment journaled of a partition."""
    for segment in opened:
        if segment.partition == partition and (found := stored.span(store, scope, segment.segment, partition)):
            yield segment, *found


def rules_of(segment: Segment) -> Rules:
    """What decided a segment, here again. Raises Refusal where its kernels are not those."""
    profile = Profile.model_validate_json(segment.params)
    kernels = load(profile)
    if dict(kernels.hashes) != dict(segment.kernels):
        raise Refusal(
            f"segment {segment.segment} ran with kernels {dict(segment.kernels)}, here are {dict(kernels.hashes)}; "
            "fix: install the packages that it ran with"
        )
    return Rules(profile, kernels.kernels)


def _compare(store: Store, run: Run, batch: Batch, report: Report, dropped: int) -> list[int]:
    """Rows of a recomputed batch against the stored rows of its offsets; planes are dropped up to `dropped`.

    Returns the offsets at which both have a row and these differ.
    """
    differing = []
    kept = stored.hashes(store, stored.Stretch(run.run_id, batch.topic, batch.partition, batch.first, batch.last))
    for kind, rows in batch.rows.items():
        if kind in (Outcome.DECISION, Outcome.EVALUATION):
            report.content_hash = (report.content_hash + rows.hash) % 2**64
        for offset, row_hash in zip(rows.offsets.tolist(), rows.hashes.tolist(), strict=True):
            report.recomputed += 1
            was = kept.pop(offset, None)
            if was is None and not (kind is Outcome.PLANE and offset <= dropped):
                report.differ(batch.partition, offset, f"no outcome, recomputed a {kind.name.lower()}")
            elif was is not None and was != (kind, row_hash):
                differing.append(offset)
                report.differ(batch.partition, offset, f"journaled as {was[0].name.lower()}, recomputed otherwise")
    for offset in kept:
        report.differ(batch.partition, offset, "journaled, but not in the log")
    return differing


def stored_inputs(store: Store, run: Run) -> Ranges:
    """The journal's own inputs as records: planes and rejects as they came, scans with the asset that was chosen."""
    topic = segments(store, run.run_id)[0].topic

    def read(partition: int, first: int, end: int) -> Iterator[Chunk]:
        begin = first
        while begin < end:
            place = stored.Stretch(run.run_id, topic, partition, begin, min(end, begin + _CHUNK) - 1)
            while place.b > place.a and stored.reject_bytes(store, place) > archive.CHUNK_BYTES:
                place = place._replace(b=(place.a + place.b) // 2)
            begin = place.b + 1
            chunk = Chunk(partition, [], [])
            chunk.typed = {row["log_offset"]: _scan(row) for row in stored.scans(store, place, _SCAN_COLUMNS)}
            chunk.typed |= {row["log_offset"]: _plane(row) for row in stored.planes(store, place)}
            rejected: dict[int, bytes | None] = {}
            for row in stored.rejects(store, place):
                rejected[row["log_offset"]] = row["raw"]
                if row["code"] == Reject.TOO_LARGE.name:
                    chunk.cut[row["log_offset"]] = (row["bytes"], row["digest"])
            chunk.offsets = sorted(chunk.typed.keys() | rejected.keys())
            chunk.values = [rejected.get(offset) for offset in chunk.offsets]
            if len(chunk):
                yield chunk

    return read


def _scan(row: Mapping[str, Any]) -> Scan:
    """A scan that chooses the asset that was chosen; its price stands for all."""
    asset = row["asset"]
    prices = {asset or "NONE": 1.0} | ({"DROPPED": 0.0} if row["reasons"] >> Reason.SYMBOL_DROPPED & 1 else {})
    return Scan(
        1, row["stream"], row["scan_id"], row["ts_ms"], row["vel_div"], prices,
        w750=None if math.isnan(row["w750"]) else row["w750"],
        irp={asset: Irp(1.0, 1.0)} if asset else None,
        dc_status=row["dc_status"],
    )  # fmt: skip


def _plane(row: Mapping[str, Any]) -> Plane:
    value = Value(**fields(row["name"], row["form"], (row["x"], row["y"], row["z"]), row["text"]))
    return Plane(1, row["stream"], row["name"], row["seq"], row["ts_ms"], value)
