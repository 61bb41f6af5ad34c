"""Soaking: a soak or a replay in this process, with a callback; an interrupt leaves the run Stopped, to be resumed.

See docs/python.md.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import Any, Final

from journal.refusal import Refusal
from journal.row import Batch
from lanes.code import Outcome
from reactor.run import attend
from reactor.run.attend import Watcher
from reactor.run.rerun import rerun
from reactor.run.settings import Settings, SoakSettings, load
from violet.display import Summary

# Fields of SoakSettings that the command alone acts on.
_OF_THE_COMMAND: Final = ("topology", "lane_workers", "metrics_port", "sketches", "log_format", "web")


@dataclass(slots=True)
class Progress:
    """How far a soak is, as its callback gets it after every batch that was journaled.

    total: records that are expected; None where nobody knows. counts: outcomes journaled by this call, by kind:
    decision, evaluation, plane, reject. last_ts_ms: event time of the last scan, ms.
    """

    total: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: {kind.name.lower(): 0 for kind in Outcome})
    last_ts_ms: int = 0

    @property
    def records(self) -> int:
        """Records journaled by this call."""
        return sum(self.counts.values())


OnBatch = Callable[[Progress], object]


def soak(
    scans: str | PathLike[str] | None, data: str | PathLike[str] | None, config: str | PathLike[str] | None,
    on_batch: OnBatch | None, stop: Callable[[], bool] | None, options: Mapping[str, Any],
) -> Summary:  # fmt: skip
    """See violet.soak."""
    flags = {name.rstrip("_"): value for name, value in options.items()}
    flags |= {name: Path(value) for name, value in (("scans", scans), ("data", data)) if value is not None}
    settings = load(flags, None if config is None else Path(config))
    for name in _OF_THE_COMMAND:
        if getattr(settings.soak, name) != SoakSettings.model_fields[name].default:
            raise Refusal(f"{name}: the command alone has it; fix: leave it out, or `violet soak`")
    with _interruptible(stop) as asked:
        return Summary(attend.soak(settings, _Watching(on_batch), stop=asked))


def replay(settings: Settings, run: str, on_batch: OnBatch | None, **asked: Any) -> Summary:
    """See Journal.replay."""
    with _interruptible(None) as stop:
        return Summary(
            rerun(
                settings.soak.data,
                settings.journal,
                run,
                **asked,
                assert_identical=True,
                broker=settings.kafka,
                say=warnings.warn,
                watch=lambda _: _Watching(on_batch),
                stop=lambda: stop,
            )
        )


class _Watching(Watcher):
    """Calls back after every batch."""

    def __init__(self, on_batch: OnBatch | None) -> None:
        self._on_batch, self._progress = on_batch, Progress()

    def expect(self, total: int | None, behind: int) -> None:
        self._progress.total = total

    def batch(self, batch: Batch) -> None:
        for kind, rows in batch.rows.items():
            self._progress.counts[kind.name.lower()] += len(rows)
        self._progress.last_ts_ms = batch.last_ts_ms
        if self._on_batch is not None:
            self._on_batch(self._progress)


@contextmanager
def _interruptible(stop: Callable[[], bool] | None) -> Generator[Callable[[], bool]]:
    """What asks whether to stop; meanwhile the first SIGINT asks for it, and the next one interrupts as always."""
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set() and callable(before):
            before(number, frame)
        interrupted.set()

    here = threading.current_thread() is threading.main_thread()  # no other takes a signal
    before = signal.signal(signal.SIGINT, interrupt) if here else None
    try:
        yield lambda: interrupted.is_set() or (stop is not None and stop())
    finally:
        if here:
            signal.signal(signal.SIGINT, before)
