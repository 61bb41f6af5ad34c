"""A session: one process's part of a run. Opens or resumes the run, reads the log, leaves it Stopped or Ended.

What a resume may go on with is decided here: the log's identity, the segment's code, params and kernels, and offsets
that the log lost. See docs/design/running.md.
"""

import math
import secrets
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from journal.judge.damage import require_whole
from journal.judge.gate import ENDED_EARLY
from journal.judge.proof import prove
from journal.ledger import run as runs
from journal.ledger.identity import identities
from journal.ledger.ledger import Ledger, Position, audit, digest, positions
from journal.ledger.run import Run, Segment
from journal.refusal import Integrity, Refusal
from journal.row import Batch
from journal.store import Store
from lanes.code import Incident, Severity
from lanes.profile import Profile
from lanes.registry import LANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import IDENTITIES, State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.log.connection import Connection
from reactor.log.kafka import LogGap
from reactor.log.outlet import TapWriter
from reactor.log.scout import Mark
from reactor.run.asked import asked, asked_again, until_again
from reactor.run.asked import until as until_of
from reactor.run.foreign import Kernels, load
from reactor.run.loop import Loop, Pace, Reader
from reactor.run.position import WARM_MAX, seek, warm
from reactor.run.provenance import versions
from reactor.run.resume import as_here, differs, in_words, same_log, segment_of, with_added
from reactor.run.settings import Settings, point, span_s
from reactor.run.source import Source
from reactor.tap.reading import is_tap_topic
from reactor.tap.writer import Taps


class Progress(Protocol):
    """Who watches a session while it reads."""

    def expect(self, total: int | None, behind: int) -> None:
        """So many records are expected (None: nobody knows), behind so many that the run has read already."""

    def batch(self, batch: Batch) -> None:
        """A batch was journaled."""

    def lane_done(self, lane: str) -> None:
        """A lane's loop over a part is over; without a name the first one begins."""


class Session:
    """Opens a run on a source and reads it."""

    segment: Segment

    def __init__(self, settings: Settings, store: Store, source: Source, ledger: Callable[[str], Ledger]) -> None:
        """ledger: makes the ledger of a run id. Refuses before anything is written."""
        self.settings, self._store, self.source = settings, store, source
        if is_tap_topic(source.topic):
            raise Refusal(f"--topic {source.topic} has the name of a lane's readings; fix: name a topic of scans")
        self._lanes = source.lanes
        self.kernels: Kernels = load(settings.profile) if settings.soak.decides else Kernels()
        self.rules = Rules(settings.profile, self.kernels.kernels)
        require_whole(store)  # before a run is chosen: one that is lost is not begun anew
        audited = runs.find(store, name=settings.soak.name)
        resumable = audited is not None and audited.state != "ENDED" and not settings.soak.new
        self._ledger_of = ledger
        self.run = self._resume(audited) if audited is not None and resumable else self._start()
        self.ledger = ledger(self.run.run_id)
        self.ledger.recall()
        tapped = settings.soak.tapped
        hashes = {lane: self.segment.kernel_hash(lane) for lane in tapped}
        self.taps = Taps(tapped, settings.soak.name, hashes, self.run.run_id)

    def read(self, stop: Callable[[], bool], progress: Progress) -> Run:
        """Read to the end of the run or until told to stop; returns the run as it was left."""
        soak = self.settings.soak
        readers = self._readers
        deadline = self.run.started_at.timestamp() + span_s(soak.for_) if soak.for_ else math.inf
        source = self.source
        todo = [r.end - r.position if r.end is not None else None for r in readers.values()]
        behind = sum(r.position - int(self.run.start[str(p)]) for p, r in readers.items())
        progress.expect(None if None in todo else sum(t for t in todo if t), behind)
        if self._lanes is not None:
            self._lanes.begin(self.run, self.ledger)
        log = self.source.open(min(r.position for r in readers.values()))
        if self.taps.lanes:
            writer = TapWriter(self._broker(), self.taps.topics.values(), f"{soak.name}-taps")
            self.taps.start(writer, self.source.partitions)

        def on_batch(batch: Batch) -> None:
            self.taps.take(batch)
            progress.batch(batch)

        def on_due(batch: Batch) -> None:
            if new := batch.standins - {*self.run.standins}:  # before its scans are there: a label never lacks
                self._save(replace(self.run, standins=(*self.run.standins, *sorted(new, key=runs.UPSTREAM.index))))

        def over() -> bool:
            return stop() or runs.now().timestamp() >= deadline

        while True:
            loop = Loop(
                log, self.ledger, self.rules, readers, Pace(soak.batch_size, soak.flush_ms), topic=source.topic,
                segment=self.segment.segment, until_ms=self.run.until.get("ts_ms"), on_due=on_due, on_batch=on_batch,
                seen=self.taps.seen, lanes=self._lanes, lane_done=progress.lane_done,
                confirm=lambda: source.confirm(over),
            )  # fmt: skip
            at_end = loop.run(lambda: source.has_grown or over())
            if at_end or over():
                break
            self._grow()
        source.finish()
        self.taps.close()
        self.taps.tell(self.ledger.note)
        ended = at_end or runs.now().timestamp() >= deadline
        reason = "" if at_end or not ended else ENDED_EARLY
        self._save(replace(self.run, state="ENDED" if ended else "STOPPED", reason=reason))
        self.ledger.note(Severity.INFO, Incident.ENDED if ended else Incident.STOPPED)
        return self.run

    def _grow(self) -> None:
        """Read the partitions that the topic got from their beginning, in a segment that all partitions go on in."""
        self.source.grow()
        added = range(len(self._readers), self.source.partitions)
        lows = self.source.lows()
        if lost := [p for p in added if lows[p]]:
            raise LogGap(f"{in_words(lost)}, and the log lost its first records already; fix: restore them")
        run = with_added(self.run, added)
        self._readers |= {p: Reader(State(), 0, run.until.get("ends", {}).get(str(p))) for p in added}
        self.segment = replace(self.segment, segment=self.segment.segment + 1)
        self._open(self.ledger, self.segment, in_words(added), self._readers)
        self._save(run)
        self.taps.partitions = self.source.partitions
        self.ledger.note(Severity.WARN, Incident.PARTITION_ADDED, f"{in_words(added)}; segment {self.segment.segment}")

    def _broker(self) -> Connection:
        if self.source.connection is None:
            raise AssertionError("must be a source on a broker where taps are asked for")
        return self.source.connection

    def stop(self, reason: str) -> Run:
        """Leave the run Stopped with a reason."""
        self._save(replace(self.run, state="STOPPED", reason=reason))
        self.ledger.note(Severity.WARN, Incident.STOPPED, reason)
        return self.run

    def halt(self, reason: str) -> Run:
        """Latch HALTED; the first reason is kept."""
        self._save(replace(self.run, state="HALTED", reason=self.run.reason or reason))
        self.ledger.note(Severity.ERROR, Incident.HALTED, reason)
        return self.run

    def _save(self, run: Run) -> None:
        self.ledger.fence()
        self.run = self.ledger.insist(lambda store: runs.save(store, run, self.ledger.epoch))

    # -- opening -----------------------------------------------------------------------------------------------------

    def _start(self) -> Run:
        """A new run: where it begins, how warm it is, and its first segment."""
        soak, source = self.settings.soak, self.source
        self._readers, warmth = self._begin()
        until = until_of(self.settings, source)
        for partition, reader in self._readers.items():
            reader.end = until.get("ends", {}).get(str(partition))
        on = [lane.name for lane in LANES if getattr(self.settings.profile, lane.name).enabled and lane.name != "base"]
        standins = (name for name in on if name not in self.kernels.hashes)
        run_id = f"{runs.now().astimezone():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        ledger = self._ledger_of(run_id)
        run = Run(
            run_id=run_id, name=soak.name, state="RUNNING", profile=self.settings.profile.name,
            source=source.identity, until=until, warm=warmth,
            start={str(p): r.position for p, r in self._readers.items()},
            standins=(*standins, *source.identity.get("standins", ())), asked=asked(self.settings),
            versions=versions(), started_at=runs.now(), begun=runs.next_begun(self._store),
        )  # fmt: skip
        self.segment = segment_of(self.settings, self.kernels, source.topic, run_id, 1, ledger.epoch)
        self._open(ledger, self.segment, "start", self._readers)
        ledger.fence()  # behind `begun`: whoever takes over from here on begins a run that is not before this one
        run = runs.save(self._store, run, ledger.epoch)  # after its segment: what can be found can be resumed
        ledger.note(Severity.INFO, Incident.STARTED, f"{warmth} start")
        if warmth == "COLD":
            ledger.note(Severity.INFO, Incident.COLD_START, f"planes were not all seen in {WARM_MAX} records")
        return run

    def _resume(self, run: Run) -> Run:
        """Go on with a run from the journal's offsets, an in-doubt batch first."""
        soak = self.settings.soak
        if run.state == "HALTED" and soak.resume_halted is None:
            raise Refusal(
                f"run {run.run_id} is HALTED ({run.reason}); fix: look into it, then --resume-halted REASON, or --new"
            )
        same_log(run, self.source.identity)
        audit(self._store, run.run_id, prove(self._store, run.run_id))
        opened = runs.segments(self._store, run.run_id)
        newest = max(opened, key=lambda s: s.segment)
        ledger = self._ledger_of(run.run_id)
        mine = segment_of(self.settings, self.kernels, self.source.topic, run.run_id, newest.segment, ledger.epoch)
        if self._lanes is not None and not soak.decides:
            mine = self._lanes.adopted(mine, newest)
        different = differs(self.settings, mine, newest)
        known = positions(self._store, run.run_id)
        until = until_again(self.settings, self.source, run, known)
        self.source.begin_after(_marks(run, known))
        added = [p for p in range(self.source.partitions) if str(p) not in run.start]
        run = with_added(replace(run, until=until, asked=asked_again(self.settings, run)), added)
        starts = {int(p): at for p, at in run.start.items()}
        opens = dict.fromkeys(added, 0) | {s.partition: s.first_offset for s in opened}  # the newest's
        gaps = self._gaps(opens, known)
        if run.state == "HALTED":
            ledger.note(Severity.INFO, Incident.HALT_RESUMED, soak.resume_halted or "")
        self._readers = {}
        for partition, start in starts.items():
            try:
                reader = self._restore(run, ledger, partition, start, known.get(partition), opened)
            except Integrity as error:
                self.run, self.ledger = run, ledger
                self.halt(str(error))
                raise Refusal(f"{error}; run {run.run_id} is HALTED; fix: look into it, or --new") from None
            reader.position = max(reader.position, opens[partition])  # a gap accepted before stays accepted
            self._readers[partition] = reader
        for partition, low in gaps.items():
            wanted = self._readers[partition].position
            ledger.note(Severity.WARN, Incident.GAP_ACCEPTED, f"partition {partition}: offsets {wanted} to {low - 1}")
            self._readers[partition].position = low
        # Behind what was in doubt: from here on no other writer's segments and intents count.
        opened = [replace(each, epoch=ledger.epoch) for each in opened]
        runs.open_segments(self._store, opened)
        self.segment = newest = max(opened, key=lambda s: s.segment)
        if added:
            ledger.note(Severity.WARN, Incident.PARTITION_ADDED, f"{in_words(added)}; segment {newest.segment + 1}")
        if different or gaps or added:
            grown = [in_words(added)] * bool(added)
            cause = "; ".join([*different, *grown, *(f"gap before {low} in partition {p}" for p, low in gaps.items())])
            self.segment = replace(mine, segment=newest.segment + 1)
            self._open(ledger, self.segment, cause, self._readers)
            ledger.note(Severity.INFO, Incident.SEGMENT_OPENED, cause)
        elif self._lanes is not None:
            self._lanes.opened(opened)
        elif behind := self._readers.keys() - {s.partition for s in opened if s.segment == newest.segment}:
            self._open(ledger, newest, newest.cause, behind)  # lanes apart turned the others alone
        for partition, reader in self._readers.items():
            reader.end = run.until.get("ends", {}).get(str(partition))
        ledger.note(Severity.INFO, Incident.RESUMED, f"from {run.state}")
        return runs.save(self._store, replace(run, state="RUNNING", reason=""), ledger.epoch)

    def _restore(
        self, run: Run, ledger: Ledger, partition: int, start: int, at: Position | None, known: list[Segment]
    ) -> Reader:
        """State and position of a partition; a batch in doubt is computed and inserted again, exactly."""
        carried = _carried(run, partition, known)
        if at is None or at.last < 0:
            state, position = carried or self._state_at(partition, start), start
        else:
            streams = State.load(at.state, ()).streams
            ids = identities(self._store, run.run_id, partition, at.last, IDENTITIES, streams)
            if carried is not None:
                ids = [*carried.identities(), *ids]
            elif start > self.source.lows()[partition]:  # the scans before a late start are in no row
                ids = [*self._state_at(partition, start).identities(), *ids]
            state, position = State.load(at.state, ids), at.last + 1
        if at is not None and at.doubt is not None:
            first, last = at.doubt
            chunk = _join(self.source.range(partition, first, last + 1))
            segment = next((s for s in known if s.segment == at.doubt_segment), None)
            if segment is None:  # opened after `known` was read: by who took over, or by nobody
                ledger.fence()
                raise Integrity(f"the batch in doubt at offsets {first} to {last} is of a segment that is not there")
            profile = Profile.model_validate_json(segment.params)
            values = self._lanes.again(segment, chunk, start) if self._lanes is not None else None
            kernels = load(profile) if values is None else Kernels(hashes=segment.kernels)
            rules = Rules(profile, kernels.kernels)
            batch = step(
                state, chunk, rules, Decoder(), topic=self.source.topic, segment=segment.segment, expected=position,
                values=values,
            )  # fmt: skip
            if digest(batch) != at.doubt_digest:
                if others := replace(as_here(segment), kernels=kernels.hashes).differs(segment):
                    raise Refusal(
                        f"the batch in doubt at offsets {first} to {last} comes out differently with another "
                        f"{'; another '.join(others)}; fix: resume once with what wrote it, or --new"
                    )
                raise Integrity(f"the batch in doubt at offsets {first} to {last} does not come out the same again")
            ledger.append(batch, time.monotonic(), lambda positions: None)
            position = last + 1
        return Reader(state, position, None)

    def _gaps(self, opens: Mapping[int, int], known: Mapping[int, Position]) -> dict[int, int]:
        """First offset still there of each partition that lost offsets which the run wants next.

        opens: first offsets of the newest segment.
        """
        lows = self.source.lows()
        gaps = {}
        for partition, opened in opens.items():
            at = known.get(partition)
            if at is not None and at.doubt is not None and lows[partition] > at.doubt[0]:
                raise Refusal(
                    f"the log lost offsets of the batch in doubt, {at.doubt[0]} to {at.doubt[1]} of partition "
                    f"{partition}, which now begins at {lows[partition]}; fix: restore them, or --new"
                )
            wanted = max(opened, at.next if at else 0)
            if lows[partition] > wanted:
                gaps[partition] = lows[partition]
            elif self.settings.soak.accept_gap and (begin := self.source.readable(partition, wanted)) > wanted:
                gaps[partition] = begin
        if gaps and not self.settings.soak.accept_gap:
            lost = ", ".join(f"partition {p} begins at {low}" for p, low in gaps.items())
            raise Refusal(
                f"the log lost offsets that the run wants next ({lost}); fix: restore them, or --accept-gap, or --new"
            )
        return gaps

    # -- where a run begins and ends ---------------------------------------------------------------------------------

    def _begin(self) -> tuple[dict[int, Reader], str]:
        """Readers of a new run, and EXACT, WARM or COLD."""
        soak, source = self.settings.soak, self.source
        partitions = list(range(source.partitions))
        lows = source.lows()
        if soak.from_ == "earliest":
            return {p: Reader(State(), lows[p], None) for p in partitions}, "EXACT"
        ends = source.ends()
        at = ends if soak.from_ == "latest" else point(soak.from_, "from")
        readers: dict[int, Reader] = {}
        warmth: set[str] = set()
        for p in partitions:
            if isinstance(at, datetime):
                state, offset = seek(source.range, p, lows[p], ends[p], int(at.timestamp() * 1e3), self.rules)
                warmth.add("EXACT")
            else:
                offset = at[p] if isinstance(at, dict) else at
                if offset > ends[p] or offset < lows[p]:
                    raise Refusal(
                        f"--from {offset}: partition {p} holds offsets {lows[p]} to {ends[p]}; fix: one of these"
                    )
                state, how = warm(source.range, p, lows[p], offset, self.rules)
                warmth.add(how)
            readers[p] = Reader(state, offset, None)
        return readers, next(w for w in ("COLD", "WARM", "EXACT") if w in warmth)

    def _state_at(self, partition: int, start: int) -> State:
        """The state before the first offset of a run that has no batch yet."""
        return warm(self.source.range, partition, self.source.lows()[partition], start, self.rules)[0]

    # -- segments ----------------------------------------------------------------------------------------------------

    def _open(self, ledger: Ledger, segment: Segment, cause: str, partitions: Container[int]) -> None:
        states = {p: (r.position, r.state.dump().decode()) for p, r in self._readers.items() if p in partitions}
        opened = [
            replace(segment, cause=cause, partition=p, first_offset=at, state=state, opened_at=None)
            for p, (at, state) in states.items()
        ]
        ledger.insist(lambda store: runs.open_segments(store, opened))
        if self._lanes is not None:
            self._lanes.opened(opened, fresh=True)


def _marks(run: Run, known: Mapping[int, Position]) -> dict[int, Mark]:
    """What a run read last of each partition, here or before it was carried here."""
    read = {int(p): Mark(run.start[p] - 1, *mark) for p, mark in run.carried.get("marks", {}).items()}
    return read | {p: Mark(at.last, at.record, at.leader_epoch) for p, at in known.items() if at.record}


def _carried(run: Run, partition: int, opened: list[Segment]) -> State | None:
    """The state with which a run was carried here; None of one that began here."""
    if run.warm != runs.CARRIED:
        return None
    return next((State.load(each.state.encode(), ()) for each in opened if each.partition == partition), State())


def _join(chunks: Iterator[Chunk]) -> Chunk:
    if not (found := list(chunks)):
        raise Integrity("the log no longer has the batch in doubt")
    whole = found[0]
    for chunk in found[1:]:
        whole.extend(chunk)
    return whole
