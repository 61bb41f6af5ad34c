"""Readings out of the journal: what a lane said of any scan of a run, decided or not, as its tap topic has it.

A row holds what the lane said. What it read of its planes follows from the state that was stored before the row's batch
and the planes since, as a resume has it. See docs/design/watching.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np

from journal.judge import stored
from journal.judge.readings import Places
from journal.judge.scope import completed
from journal.judge.stored import Stretch
from journal.ledger.pruned import pruned
from journal.ledger.run import segments
from journal.row import Rows, Values
from journal.store import Store
from lanes.registry import LANES
from reactor.evaluate.state import LANE_PLANES, NEVER, READ, Held, State, seen_columns
from reactor.tap.reading import Reading, of_rows

PAGE: Final = 2_000  # readings fetched at a time
SPAN: Final = 131_072  # offsets that a page's planes are read over at most
_INTS: Final = {"scan_id": "scan_id", "ts_ms": "ts_ms", "dc_status": "dc_code"}
_FLOATS: Final = ("vel_div", "w750", "esof_fanin", "sc_mult", *chain(*(lane.stored for lane in LANES)))
_COLUMNS: Final = ("segment", "stream", "params_hash", *_FLOATS, "scan_id", "ts_ms", "dc_code")


class History:
    """Readings of one lane of a run. where: a condition on the columns of lane_readings. stream: of this one alone."""

    def __init__(
        self, store: Store, run_id: str, lane: str, where: str | None = None, stream: str | None = None
    ) -> None:
        self._store, self._run_id, self._lane = store, run_id, lane
        self.places = Places(store, run_id, lane, where, stream)
        opened = segments(store, run_id)
        self.topic = opened[0].topic
        self.partitions = sorted({segment.partition for segment in opened})
        self._hashes = {segment.segment: segment.kernel_hash(lane) for segment in opened}
        self._opened = {segment.partition: segment for segment in reversed(opened)}  # where each partition begins
        self._dropped = {partition: each.last_offset for partition, each in pruned(store, run_id).items()}

    def dropped(self, reading: Reading) -> bool:
        """Whether retention dropped the planes that this reading's lane read."""
        return self._lane in LANE_PLANES and reading.offset <= self._dropped.get(reading.partition, -1)

    def ends(self) -> dict[int, int]:
        """Offset after the last completed batch of each partition."""
        return completed(self._store, self._run_id)

    def last(self, n: int) -> dict[int, int]:
        """Offset of each partition from which on there are its last n readings; of none, its end."""
        ends = self.ends()
        last = {p: self.places.last(p, ends.get(p, 0), n) for p in self.partitions}
        return {p: found[0] if found else ends.get(p, 0) for p, found in last.items()}

    def pages(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[list[Reading]]:
        """Readings of these ranges of offsets, by partition and offset, a page at a time."""
        for partition, start in sorted(starts.items()):
            at, end = start, ends.get(partition, 0)
            while at < end:
                found = self.places.between(partition, at, end, PAGE)
                for _, page in groupby(found, partial(self._stretch, partition)):
                    yield self._page(partition, list(page))
                at = found[-1] + 1 if len(found) == PAGE else end

    def _stretch(self, partition: int, offset: int) -> tuple[int, bool]:
        """Where an offset lies: one state serves a stretch, of at most SPAN offsets, all or none of them dropped."""
        return offset // SPAN, offset <= self._dropped.get(partition, -1)

    def _page(self, partition: int, offsets: Sequence[int]) -> list[Reading]:
        """Readings of these offsets, which lie near one another."""
        place = Stretch(self._run_id, self.topic, partition, offsets[0], offsets[-1])
        rows = stored.scans(self._store, place, _COLUMNS, offsets)
        seen = self._seen(partition, rows)
        found: list[Reading] = []
        for segment, mine in groupby(range(len(rows)), key=lambda at: rows[at]["segment"]):
            places = list(mine)
            some = [rows[at] for at in places]
            columns: dict[str, Values] = {
                **{name: np.array([row[n] for row in some], dtype=np.int64) for name, n in _INTS.items()},
                **{name: np.array([row[name] for row in some], dtype=np.float64) for name in _FLOATS},
                **{name: [row[name] for row in some] for name in ("stream", "params_hash")},
                **{name: values[places] for name, values in seen.items()},
            }
            at = np.array([row["log_offset"] for row in some], dtype=np.int64)
            block = Rows(at, columns, np.zeros(len(at), dtype=np.uint64))
            found += of_rows(block, self._lane, self.topic, partition, self._hashes[segment], self._run_id)
        return found

    def _seen(self, partition: int, scans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Columns of the lane's planes as these scans saw them; never seen, where retention dropped them."""
        names = LANE_PLANES.get(self._lane, ())
        held: dict[tuple[str, str], Held] = {}
        planes: list[dict[str, Any]] = []
        if names and scans[0]["log_offset"] > self._dropped.get(partition, -1):
            behind, state = self._state(partition, scans[0]["log_offset"])
            held = {
                (stream, name): plane
                for stream, of in state.streams.items()
                for name, plane in zip(READ, of.planes, strict=True)
            }
            last = scans[-1]["log_offset"] - 1
            place = Stretch(self._run_id, self.topic, partition, behind + 1, last)
            planes = stored.planes(self._store, place, names)
        saw: dict[str, list[Any]] = {column: [] for name in names for column in seen_columns(name)}
        for row in sorted((*planes, *scans), key=itemgetter("log_offset")):
            if "form" in row:  # a plane
                held[row["stream"], row["name"]] = tuple(row[n] for n in ("form", "x", "y", "z", "ts_ms", "text"))
                continue
            for name in names:
                form, x, y, z, ts_ms, _ = held.get((row["stream"], name), NEVER)
                fields = {"form": form, "ts_ms": ts_ms, "x": x, "y": y, "z": z}
                for column, what in seen_columns(name).items():
                    saw[column].append(fields[what])
        return {column: np.array(values) for column, values in saw.items()}

    def _state(self, partition: int, offset: int) -> tuple[int, State]:
        """The state stored last before an offset, and the last offset that it knows."""
        found = stored.state_before(self._store, self._run_id, self.topic, partition, offset)
        if found is not None:
            return found[0], State.load(found[1], ())
        opened = self._opened[partition]
        return opened.first_offset - 1, State.load(opened.state.encode(), ())
