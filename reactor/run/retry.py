"""Retry: a run's rejects of one code evaluated once more, after what made them rejects was mended.

The run itself stays as it is: its rejects, counts and hashes. What passes now becomes a run of its own beside it, a
replay of those offsets alone, in a segment behind the original's. A row there is the one that a replay of the whole run
by this code would give at its offset: the run is read from its beginning, and the state moves on past every record.
What is a reject still is in no row there, so the next fix finds it. See docs/design/running.md.
"""

import secrets
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from journal.judge import reject
from journal.judge.damage import require_whole
from journal.judge.scope import Scope
from journal.ledger import run as runs
from journal.ledger.claim import Claim
from journal.ledger.ledger import Ledger, Position, digest, positions
from journal.ledger.run import UPSTREAM, Run, Segment
from journal.refusal import Refusal
from journal.row import Batch, joined
from journal.store import Store
from lanes.code import Outcome, Reject
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import advance, step
from reactor.evaluate.walk import Rules
from reactor.log.connection import Connection
from reactor.run.foreign import load
from reactor.run.provenance import versions
from reactor.run.resume import as_here
from reactor.run.verify import Records, pieces, records, spans

TOGETHER: Final = 1_000  # rejects that are journaled in one batch at most
Wanted = Mapping[int, Sequence[int]]  # offsets by partition, ascending


@dataclass(slots=True)
class Retried:
    """What came of it.

    source: where the records came from. tried: of the rejects of the code, those that were evaluated now; passed: by
    kind of outcome; still: those that are rejects again, by code. gone: whose records are not there any more; before:
    those that an earlier retry had passed. runs: ids of the runs that hold what passed now.
    """

    run_id: str
    code: str
    source: str = ""
    tried: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    still: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    before: int = 0
    runs: list[str] = field(default_factory=list)


def name_of(run: Run) -> str:
    """The name of a run's retries, which one process at a time may write."""
    return f"{run.name}.retry"


def retry(
    store: Store, run: Run, code: Reject, broker: Connection | None, claim: Claim,
    *, seam: Callable[[str], None] = lambda name: None,
) -> Retried:  # fmt: skip
    """Evaluate a run's rejects of a code again; one that was killed goes on, and one that is done changes nothing.

    Args:
        store: the journal.
        run: the run; it may be running, and rejects that come later are another retry's.
        code: of the rejects.
        broker: of its topic, where it followed one.
        claim: of `name_of(run)`.
        seam: called with every step of the ledger, for tests of crashes.

    Raises:
        Refusal: the records cannot be read, or another retry of the name is not done.
    """
    require_whole(store)
    if run.replay_of:
        raise Refusal(f"run {run.run_id} is a replay; fix: name the run that it replays")
    opened = runs.segments(store, run.run_id)
    with closing(records(store, run, broker, whole=False, partial=True)) as found:
        result = Retried(run.run_id, code.name, found.words)
        left = _unfinished(store, run, code, claim.epoch)
        done = reject.passed(store, run.run_id, left.run_id if left is not None else "")
        gone = reject.gone(store, run.run_id) if found.stored else set()
        all_of = reject.offsets(store, run.run_id, code.name)
        result.before = len(all_of & done)
        result.gone = len(all_of & gone - done)
        todo = all_of - done - gone
        for number, (params_hash, profile) in enumerate(_profiles(opened).items()):
            mine = {s.segment for s in opened if s.params_hash == params_hash}
            places = [(p, *span) for p in map(int, run.start) for span in _spans_of(store, run, opened, p, mine)]
            wanted = _within(todo, places)
            again = left if left is not None and left.source["params_hash"] == params_hash else None
            if wanted or again is not None:
                one = _Retrying(store, run, found, code, profile, opened, claim, seam, result, number)
                one.go(wanted, again)
    return result


def _profiles(opened: Sequence[Segment]) -> dict[str, Profile]:
    """The params of a run's segments, by their hash: each makes a retry of its own, since a segment has one."""
    return {each.params_hash: Profile.model_validate_json(each.params) for each in opened}


def _spans_of(
    store: Store, run: Run, opened: list[Segment], partition: int, numbers: set[int]
) -> Iterator[tuple[int, int]]:
    scope = Scope.of(store, run.run_id)
    for segment, first, last in spans(store, scope, opened, partition):
        if segment.segment in numbers:
            yield first, last


def _within(offsets: Iterable[tuple[int, int]], places: Sequence[tuple[int, int, int]]) -> dict[int, list[int]]:
    wanted: dict[int, list[int]] = {}
    for partition, at in sorted(offsets):
        if any(p == partition and first <= at <= last for p, first, last in places):
            wanted.setdefault(partition, []).append(at)
    return wanted


def _unfinished(store: Store, run: Run, code: Reject, epoch: int) -> Run | None:
    """The retry that was left in the midst; refuses to begin another one beside it.

    One that other code decided is done with what it has, unless that code left a batch in doubt.
    """
    last = runs.find(store, name=name_of(run))
    if last is None or last.state == "ENDED":
        return None
    if (last.replay_of, last.source.get("code")) != (run.run_id, code.name):
        raise Refusal(
            f"the retry {last.run_id} of {last.source.get('code')} of run {last.replay_of} is not done; fix: "
            f"`violet rejects retry --code {last.source.get('code')} --run {last.replay_of}` first"
        )
    was = runs.segments(store, last.run_id)[0]
    kernels = load(Profile.model_validate_json(was.params)).hashes
    if not (others := replace(as_here(was), kernels=kernels).differs(was)):
        return last
    if any(at.doubt is not None for at in positions(store, last.run_id).values()):
        raise Refusal(
            f"the retry {last.run_id} left a batch in doubt that another {others[0]} decided; fix: once with that"
        )
    runs.save(store, replace(last, state="ENDED"), epoch)
    return None


class _Retrying:
    """One retry: the rejects that segments of the same params decided."""

    def __init__(
        self, store: Store, run: Run, found: Records, code: Reject, profile: Profile, opened: list[Segment],
        claim: Claim, seam: Callable[[str], None], result: Retried, number: int,
    ) -> None:  # fmt: skip
        self._store, self._run, self._found, self._opened = store, run, found, opened
        self._code, self._profile, self._claim, self._seam = code, profile, claim, seam
        self._result = result
        self._segment = max(each.segment for each in opened) + 1 + number
        self._ledger: Ledger | None = None
        self._retry: Run | None = None
        self._raws: dict[int, bytes] = {}

    def go(self, wanted: Wanted, again: Run | None) -> None:
        """Evaluate them and journal what passes. again: the retry to go on with."""
        known: Mapping[int, Position] = {}
        if again is not None:
            known = positions(self._store, again.run_id)
            wanted = {p: at for p, at in wanted.items() if str(p) in again.start}  # others are another retry's
            mine = [replace(s, epoch=self._claim.epoch) for s in runs.segments(self._store, again.run_id)]
            self._begin(again)
            self._segment = mine[0].segment
        for partition, offsets in wanted.items():
            start = offsets[0] if again is None else again.start[str(partition)]
            self._partition(partition, offsets, start, known.get(partition), wanted)
        if again is not None:
            runs.open_segments(self._store, mine)
        if self._retry is not None:
            runs.save(self._store, replace(self._retry, state="ENDED"), self._claim.epoch)
            self._result.runs.append(self._retry.run_id)

    def _partition(
        self, partition: int, offsets: Sequence[int], start: int, at: Position | None, wanted: Wanted
    ) -> None:
        doubt = at.doubt if at is not None else None
        last = at.last if at is not None else -1
        todo = [offset for offset in offsets if offset > last]
        behind = bisect_right(todo, doubt[1]) if doubt is not None else 0
        groups = [todo[:behind]] * (doubt is not None)
        groups += [todo[n : n + TOGETHER] for n in range(behind, len(todo), TOGETHER)]
        expected = last + 1 if last >= 0 else start
        parts: list[tuple[Batch, bytes]] = []
        for part, raw in self._parts(partition, todo):
            while groups and part.first > groups[0][-1]:
                expected = self._flush(parts, expected, wanted, None)
                groups.pop(0)
            parts.append((part, raw))
            if doubt is not None and groups[0][-1] == part.last and part.last <= doubt[1]:
                expected = self._flush(parts, expected, wanted, at)
                groups.pop(0)
        self._flush(parts, expected, wanted, None)

    def _parts(self, partition: int, todo: Sequence[int]) -> Iterator[tuple[Batch, bytes]]:
        """Outcomes of the wanted records one by one, with their bytes, the state moved on past all of them."""
        if not todo:
            return
        chosen, state, decoder = frozenset(todo), None, Decoder()
        begin, scope = self._found.starts.get(partition, 0), Scope.of(self._store, self._run.run_id)
        first_of = next(each for each in self._opened if each.partition == partition)
        for segment, first, last in spans(self._store, scope, self._opened, partition):
            profile = Profile.model_validate_json(segment.params)
            rules = Rules(profile, load(profile).kernels)
            state = self._found.state(first_of, self._run.warm, rules) if state is None else state
            for chunk in self._found.ranges(partition, max(first, begin), min(last, todo[-1]) + 1):
                for piece, is_wanted in pieces(chunk, chosen):
                    if not is_wanted:
                        advance(state, piece, rules, decoder)
                        continue
                    yield from self._each(piece, state, rules, decoder)

    def _each(self, piece: Chunk, state: State, rules: Rules, decoder: Decoder) -> Iterator[tuple[Batch, bytes]]:
        topic, segment = self._opened[0].topic, self._segment
        while len(piece):
            one, piece = piece.split(1)
            part = step(state, one, rules, decoder, topic=topic, segment=segment, expected=one.offsets[0])
            yield part, one.values[0] or b""

    def _flush(self, parts: list[tuple[Batch, bytes]], expected: int, wanted: Wanted, at: Position | None) -> int:
        """Journal those of the parts that passed; the offset behind them. at: what must come out, if it is in doubt."""
        self._raws = {part.first: raw for part, raw in parts}
        self._count([part for part, _ in parts])
        passed = [part for part, _ in parts if not len(part.rows[Outcome.REJECT])]
        parts.clear()
        if not passed:
            return expected
        skipped = []
        for part in passed:
            if part.first > expected:
                skipped.append((expected, part.first - 1))
            expected = part.last + 1
        batch = replace(joined(passed), skipped=skipped, state=b"{}", last_record="", last_epoch=-1)
        if at is not None and digest(batch) != at.doubt_digest:
            raise Refusal(
                f"the batch in doubt at offsets {batch.first} to {batch.last} does not come out the same again"
            )
        ledger = self._ledger or self._begin(self._start(wanted))
        ledger.append(batch, time.monotonic(), lambda places: None)
        return expected

    def _count(self, parts: Sequence[Batch]) -> None:
        passed, still = Counter(self._result.passed), Counter(self._result.still)
        for part in parts:
            for kind, rows in part.rows.items():
                if kind is not Outcome.REJECT:
                    passed[f"{kind.name.lower()}s"] += len(rows)
            codes: Any = part.rows[Outcome.REJECT].columns["code"]
            still.update(Reject(each).name for each in np.asarray(codes).tolist())
        self._result.tried += len(parts)
        self._result.passed, self._result.still = dict(passed), dict(still)

    def _begin(self, retry: Run) -> Ledger:
        self._retry = retry
        self._ledger = Ledger(
            self._store, retry.run_id, lambda _, offsets: [self._raws[at] for at in offsets], claim=self._claim,
            seam=self._seam,
        )  # fmt: skip
        return self._ledger

    def _start(self, wanted: Wanted) -> Run:
        """The retry's run, once there is something to journal."""
        run, epoch, profile = self._run, self._claim.epoch, self._profile
        retry_id = f"{runs.now().astimezone():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        blank = Segment(
            retry_id, self._segment, self._opened[0].topic, 0, 0, f"rejects {self._code.name} of run {run.run_id}",
            profile.name, profile.model_dump_json(), profile.hash, "", load(profile).hashes, epoch=epoch,
        )  # fmt: skip
        runs.open_segments(
            self._store, [replace(as_here(blank), partition=p, first_offset=at[0]) for p, at in wanted.items()]
        )
        source = {
            "kind": "retry", "replay_of": run.run_id, "code": self._code.name, "params_hash": profile.hash,
            "read_from": self._found.words, "topic": self._opened[0].topic, "partitions": len(run.start),
            "seeded": run.source.get("seeded", False), "standins": [name for name in UPSTREAM if name in run.standins],
        }  # fmt: skip
        return runs.save(self._store, Run(
            run_id=retry_id, name=name_of(run), state="RUNNING", profile=profile.name, source=source, until={},
            start={str(p): at[0] for p, at in wanted.items()}, warm=run.warm, standins=run.standins, asked=run.asked,
            versions=versions(), started_at=runs.now(),
        ), epoch)  # fmt: skip
