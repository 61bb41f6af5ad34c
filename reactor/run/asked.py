"""Asked: where a run begins and ends as its user asked, and what a resume may ask anew.

The same command resumes a run, so what it asked at the start changes nothing. Another end is taken where it lies ahead,
another beginning is refused: nothing that is asked for is passed over in silence. See docs/design/running.md.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from journal.ledger.ledger import Position
from journal.ledger.run import Run
from journal.refusal import Refusal
from reactor.evaluate.state import State
from reactor.run.settings import Settings, point
from reactor.run.source import Source


def asked(settings: Settings) -> dict[str, Any]:
    """What is asked of a new run, as it was asked."""
    return {"from": settings.soak.from_, "until": settings.soak.until, "absent": list(settings.planes.absent)}


def asked_again(settings: Settings, run: Run) -> dict[str, Any]:
    """What is asked of a run that goes on. Refuses another beginning: what it journaled began elsewhere."""
    soak = settings.soak
    began = run.asked.get("from", soak.from_)  # an older version did not say
    if "from_" in soak.model_fields_set and soak.from_ != began:
        raise Refusal(
            f"--from {soak.from_}: run {run.run_id} began with --from {began}, and a resume goes on where it stopped; "
            "fix: leave --from away, or --new"
        )
    until = soak.until if soak.until is not None else run.asked.get("until")
    kept = {"carried": run.carried} if run.carried else {}
    return asked(settings) | {"from": began, "until": until} | kept


def until(settings: Settings, source: Source) -> dict[str, Any]:
    """A run's end: offsets by partition, or an event time, or nothing."""
    soak = settings.soak
    if soak.until == "end" or (soak.until is None and source.finite):
        return {"ends": {str(p): end for p, end in source.ends().items()}}
    if soak.until is None:
        return {}
    at = point(soak.until, "until")
    ends = {str(p): end for p, end in source.ends().items()} if source.finite else {}
    if isinstance(at, datetime):
        return {"ts_ms": int(at.timestamp() * 1e3), "ends": ends}
    return {"ends": {str(p): min(at, ends.get(str(p), at)) for p in range(source.partitions)}}


def until_again(settings: Settings, source: Source, run: Run, known: Mapping[int, Position]) -> Mapping[str, Any]:
    """The end of a run that goes on: as it was, unless another one is asked for. Refuses one that it has passed.

    known: where its partitions stand.
    """
    wanted = settings.soak.until
    was = run.asked.get("until", wanted if run.until else None)  # an older version did not say
    if wanted is None or wanted == was:
        return run.until
    found = until(settings, source)
    for partition, at in known.items():
        last = at.doubt[1] if at.doubt is not None else at.last
        end = found["ends"].get(str(partition))
        if (end is not None and last >= end) or _passed(at, found.get("ts_ms")):
            raise Refusal(
                f"--until {wanted}: run {run.run_id} has journaled partition {partition} up to offset {last}; "
                "fix: an end behind that, or `violet end`, or --new"
            )
    return found


def ends_of_added(run: Run, added: Iterable[int]) -> dict[str, int]:
    """Where partitions end that a topic got while its run went on; of a run up to the log's end of then, at once."""
    ends, wanted = run.until.get("ends"), run.asked.get("until")
    if not ends:
        return {}
    at = point(wanted, "until") if wanted not in (None, "end") else 0
    return {str(p): ends.get(str(p), at) for p in added}


def _passed(at: Position, ts_ms: int | None) -> bool:
    """Whether a partition came to an event time."""
    return ts_ms is not None and any(s.last_ts_ms >= ts_ms for s in State.load(at.state, ()).streams.values())
