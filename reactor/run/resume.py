"""A resume: what a run may go on with, before anything of it is read. Its log, code, params, kernels, partitions.

See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from journal.ledger import run as runs
from journal.ledger.run import Run, Segment
from journal.refusal import Refusal
from journal.store import Store
from lanes.fingerprint import math_fingerprint
from reactor.run.asked import ends_of_added
from reactor.run.foreign import Kernels, load
from reactor.run.provenance import code_hash
from reactor.run.settings import Settings


def same_log(run: Run, mine: Mapping[str, Any]) -> None:
    """Refuse a log of another identity; a topic may have got partitions since."""
    was = run.source
    keys = ("kind", "sha256", "lines", "cluster", "topic", "topic_id", "replay_of", "read_from")
    different = [f"{k} is {mine.get(k)!r}, was {was.get(k)!r}" for k in keys if mine.get(k) != was.get(k)]
    if (there := mine.get("partitions", 1)) < was.get("partitions", 1):
        different.append(f"partitions is {there}, was {was['partitions']}")
    if different:
        raise Refusal(
            f"run {run.run_id} reads another log ({'; '.join(different)}); "
            "fix: give the log that it began with, or --new, or another --name"
        )


def in_words(partitions: Sequence[int]) -> str:
    """What is said of partitions that a topic got while its run went on."""
    return f"partition {', '.join(map(str, partitions))} was added and is read from its beginning"


def with_added(run: Run, added: Sequence[int]) -> Run:
    """A run with partitions that its topic got since, each from its beginning."""
    if not added:
        return run
    until = dict(run.until)
    if until.get("ends"):
        until["ends"] = {**until["ends"], **ends_of_added(run, added)}
    source = {**run.source, "partitions": len(run.start) + len(added)}
    return replace(run, until=until, source=source, start={**run.start, **dict.fromkeys(map(str, added), 0)})


def same_code(settings: Settings, store: Store) -> None:
    """Refuse what a resume would refuse for its code, params or kernels: asked before a journal is migrated for it."""
    run = runs.find(store, name=settings.soak.name)
    if run is None or run.state == "ENDED" or settings.soak.new:
        return
    newest = max(runs.segments(store, run.run_id), key=lambda s: s.segment)
    if settings.soak.decides:
        mine = segment_of(settings, load(settings.profile), "", run.run_id, newest.segment)
    else:
        mine = as_here(newest)  # params and kernels are its workers' to choose
    differs(settings, mine, newest)


def differs(settings: Settings, mine: Segment, newest: Segment) -> list[str]:
    """What of the deciding differs, by name. Refuses a difference that nobody asked for."""
    found = mine.differs(newest)
    if found and not settings.soak.new_segment:
        raise Refusal(
            f"run {newest.run_id} went on with another {'; another '.join(found)}; "
            "fix: resume with the same, or --new-segment to go on with these, or --new"
        )
    return found


def as_here(segment: Segment) -> Segment:
    """A segment as this code on this machine would decide it."""
    return replace(segment, code_hash=code_hash(), math_fingerprint=math_fingerprint())


def segment_of(settings: Settings, kernels: Kernels, topic: str, run_id: str, number: int, epoch: int = 0) -> Segment:
    """What this process decides by, as a segment; where it begins is the caller's to say."""
    profile = settings.profile
    return Segment(
        run_id=run_id, segment=number, topic=topic, partition=0, first_offset=0, cause="", profile=profile.name,
        params=profile.model_dump_json(), params_hash=profile.hash, code_hash=code_hash(), kernels=kernels.hashes,
        math_fingerprint=math_fingerprint(), epoch=epoch,
    )  # fmt: skip
