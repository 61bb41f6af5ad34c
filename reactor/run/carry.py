"""Carry: the state of a run as one document, with which the run goes on in another journal.

The document is one canonical JSON text: the run, what decides it, and of each partition the next offset with planes,
cadence and identities as of there. Its checksum is over all the rest of it, so one byte more or less is found. What a
run had journaled before is carried as counts and content hash, which add up with those of the rows that follow.
See docs/design/running.md.
"""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from journal.judge.damage import require_whole
from journal.judge.gate import carried, figures
from journal.judge.proof import prove
from journal.judge.scope import Scope
from journal.keep.origin import Origin
from journal.ledger import run as runs
from journal.ledger.identity import identities
from journal.ledger.ledger import Position, audit, positions
from journal.ledger.run import CARRIED, Run, Segment
from journal.refusal import Refusal
from journal.store import Store
from lanes.profile import Profile
from reactor.evaluate.state import IDENTITIES, State, Stored

FORMAT: Final = "violet-state"
VERSION: Final = 1
_COUNTS: Final = ("records", "decisions", "evaluations", "planes", "rejects")
_MADE: Final = "fix: export the state again"


class Part(Struct, forbid_unknown_fields=True):
    """A partition: the offset from which the run goes on, what was read before it, and the state there.

    record, leader_epoch: SHA-256 and leader epoch of the record before that offset, by which the log is known again.
    """

    next: int
    record: str
    leader_epoch: int
    streams: dict[str, Stored]


class Manifest(Struct, forbid_unknown_fields=True):
    """The run, as it was begun and left. Fields as those of the ledger's Run."""

    run_id: str
    name: str
    state: str
    reason: str
    profile: str
    source: dict[str, Any]
    until: dict[str, Any]
    asked: dict[str, Any]
    standins: list[str]
    versions: dict[str, str]
    started_at: datetime
    trading_mode: str = "DARK"


class Decides(Struct, forbid_unknown_fields=True):
    """What decides the run: the newest segment. Fields as those of the ledger's Segment."""

    run_id: str
    segment: int
    topic: str
    profile: str
    params: str
    params_hash: str
    code_hash: str
    kernels: dict[str, str]
    math_fingerprint: str


class Document(Struct, forbid_unknown_fields=True):
    """The whole document. carried: counts and content hash of what was journaled before it, in all journals."""

    format: str
    version: int
    checksum: str
    origin: Origin
    run: Manifest
    segment: Decides
    partitions: dict[str, Part]
    carried: dict[str, Any]


def export(store: Store, run: Run, origin: Origin) -> bytes:
    """The document of a run, as of its last completed batch; a batch in doubt is evaluated again elsewhere.

    Args:
        store: the journal.
        run: one that follows a log; it may be running.
        origin: of this journal's directory.

    Raises:
        Refusal: the journal does not hold all that the state is made of.
    """
    if run.replay_of:
        raise Refusal(f"run {run.run_id} is a replay; fix: replay its original where it is")
    require_whole(store)
    audit(store, run.run_id, prove(store, run.run_id))
    known, opened = positions(store, run.run_id), runs.segments(store, run.run_id)
    newest = max(opened, key=lambda each: each.segment)
    parts = {p: _part(store, run, int(p), known.get(int(p)), opened) for p in run.start}
    scope = Scope.of(store, run.run_id)
    found = figures(store, run, replace(scope, ends={p: parts[str(p)].next - 1 for p in scope.ends}))
    before = run.carried
    counts = {name: found[name] + before.get(name, 0) for name in _COUNTS}
    whole = carried(run, found).get("whole_content_hash", found["content_hash"])
    document = Document(
        FORMAT, VERSION, "", origin, _manifest(run), _decides(newest), parts, counts | {"content_hash": whole}
    )
    return _sealed(document)


def load(raw: bytes) -> Document:
    """A document, once it was found to be what was exported.

    Raises:
        Refusal: it is none, of another version, changed, or does not fit together; its words name which.
    """
    try:
        head = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refusal(f"this is no state of a run: {error}; fix: a file of `violet state export`") from None
    if head.get("format") != FORMAT:
        raise Refusal("this is no state of a run; fix: a file of `violet state export`")
    if (version := head.get("version")) != VERSION:
        raise Refusal(f"the state is of version {version!r}, and this code knows {VERSION}; fix: use its own version")
    try:
        document = msgspec.json.decode(raw, type=Document)
    except msgspec.MsgspecError as error:
        raise Refusal(f"the state was changed since it was exported: {error}; {_MADE}") from None
    if raw != _sealed(document):
        raise Refusal(f"the state was changed since it was exported: its checksum is another one; {_MADE}")
    run, segment = document.run, document.segment
    if segment.run_id != run.run_id or run.run_id not in document.origin.runs:
        raise Refusal(f"the state is of run {run.run_id}, but its segment is of {segment.run_id}; {_MADE}")
    if (found := Profile.model_validate_json(segment.params).hash) != segment.params_hash:
        raise Refusal(f"the state's params have the hash {found}, and it says {segment.params_hash}; {_MADE}")
    return document


def bring(store: Store, document: Document, epoch: int) -> Run:
    """Begin the run of a document in a journal that does not have it; it is left as it was, to be resumed.

    epoch: of the claim of its name.

    Raises:
        Refusal: the journal has it, or another run of its name that did not end.
    """
    told, by = document.run, document.segment
    if runs.find(store, run_id=told.run_id) is not None:
        raise Refusal(f"this journal has run {told.run_id} already; fix: resume it here, or another --data")
    last = runs.find(store, name=told.name)
    if last is not None and last.state != "ENDED":
        raise Refusal(f"run {last.run_id} of {told.name!r} is {last.state} here; fix: `violet end`, or another --data")
    decides = {name: getattr(by, name) for name in by.__struct_fields__}
    runs.open_segments(store, [
        Segment(**decides, partition=int(p), first_offset=part.next, cause="state imported", epoch=epoch,
                state=msgspec.json.encode(part.streams).decode())
        for p, part in document.partitions.items()
    ])  # fmt: skip
    marks = {p: [part.record, part.leader_epoch] for p, part in document.partitions.items() if part.record}
    fields = {name: getattr(told, name) for name in told.__struct_fields__ if name != "trading_mode"}
    fields |= {
        "state": told.state if told.state == "HALTED" else "STOPPED",
        "standins": tuple(told.standins),
        "asked": {**told.asked, "carried": document.carried | {"marks": marks}},
    }
    run = Run(**fields, start={p: part.next for p, part in document.partitions.items()}, warm=CARRIED)
    return runs.save(store, run, epoch)


def _sealed(document: Document) -> bytes:
    """The document's bytes, with the checksum of its other ones."""
    bare = msgspec.json.encode(msgspec.structs.replace(document, checksum=""), order="sorted")
    checksum = hashlib.sha256(bare).hexdigest()
    return msgspec.json.encode(msgspec.structs.replace(document, checksum=checksum), order="sorted") + b"\n"


def _manifest(run: Run) -> Manifest:
    names = [name for name in Manifest.__struct_fields__ if name != "trading_mode"]
    fields = {name: getattr(run, name) for name in names}
    asked = {name: value for name, value in run.asked.items() if name != "carried"}
    return Manifest(**fields | {"standins": list(run.standins), "asked": asked})


def _decides(segment: Segment) -> Decides:
    return Decides(**{name: getattr(segment, name) for name in Decides.__struct_fields__})


def _part(store: Store, run: Run, partition: int, at: Position | None, opened: list[Segment]) -> Part:
    """Where a partition stands and the state there, exactly."""
    mine = [each for each in opened if each.partition == partition]
    began = State.load(mine[0].state.encode(), ())
    if at is None or at.last < 0:
        record, epoch = run.mark(partition)
        _require_whole_state(run, began, began)
        return Part(mine[-1].first_offset, record, epoch, began.whole())
    ids = identities(store, run.run_id, partition, at.last, IDENTITIES, State.load(at.state, ()).streams)
    state = State.load(at.state, [*began.identities(), *ids])
    _require_whole_state(run, began, state)
    return Part(max(at.last + 1, mine[-1].first_offset), at.record, at.leader_epoch, state.whole())


def _require_whole_state(run: Run, began: State, state: State) -> None:
    """Refuse where scans from before a run that began late count, which only the log has."""
    if run.warm == CARRIED:
        return
    for name in began.streams:
        if len(state.stream(name).identities()) < IDENTITIES:
            raise Refusal(
                f"run {run.run_id} began behind scans of stream {name!r} that are in no row, and has journaled less "
                f"than {IDENTITIES} since; fix: once it has, or a snapshot"
            )
