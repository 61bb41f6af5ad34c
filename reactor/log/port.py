"""The Log port: where records come from, in offset order, and how far the log goes.

Adapters: kafka.py (a broker, embedded or not), archive.py (a file), memory.py (a list).
"""

from typing import Protocol

from reactor.evaluate.chunk import Chunk


class Log(Protocol):
    """A log of records by partition and offset."""

    def assign(self, positions: dict[int, int]) -> None:
        """Read these partitions from these offsets on; partition -> offset."""

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        """Records that have come, at most one chunk a partition; none after the time-out.

        Args:
            limit: records of all chunks together, at most.
            timeout_s: how long to wait where there is none.
        """

    def reached(self) -> dict[int, int]:
        """Offsets before which, as of now, nothing more will be delivered, by partition."""

    def leave(self, partition: int) -> None:
        """Read no more of a partition that was assigned: its reader has all that it wants."""

    def commit(self, positions: dict[int, int]) -> None:
        """Tell the log how far the journal is. A courtesy: nothing depends on it."""

    def close(self) -> None:
        """Let go of connections."""
