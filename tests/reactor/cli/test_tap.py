"""`violet tap` on a topic: a follower goes on as what was stored ended. The journal's tap is in tests/integration."""

from types import SimpleNamespace

import pytest

from reactor.cli import tap
from reactor.log.memory import MemoryLog
from reactor.tap.reading import Reading, decode, encode
from tests.integration.soaking import violet

START_MS = 1_746_372_780_000


def said(scan_id, partition):
    """A record whose offset and minute are its scan id."""
    at = START_MS + 60_000 * scan_id
    return encode(Reading(1, "dc", "scans", partition, scan_id, "ng7", scan_id, at, 1.0, {}, {}, None, "p", "k"))


class Tapped(MemoryLog):
    """A tap topic that holds some records, gets others once it is followed, and is left when those are read."""

    def __init__(self, stored, coming):
        super().__init__(partitions=len(stored))
        self._coming = coming
        for partition, ids in enumerate(stored):
            for scan_id in ids:
                self.append(said(scan_id, partition), partition)

    def describe(self):
        return SimpleNamespace(partitions=len(self._partitions))

    def lows(self, partitions):
        return dict.fromkeys(partitions, 0)

    def ends(self, partitions):
        return {p: self._partitions[p].end for p in partitions}

    def poll(self, limit, timeout_s):
        if not self._coming:
            raise KeyboardInterrupt
        scan_id, partition = self._coming.pop(0)
        self.append(said(scan_id, partition), partition)
        return super().poll(limit, 0.0)


@pytest.mark.parametrize(
    ("point", "found"),
    [
        ("@8", [8, 9, 18, 19, 108]),  # an offset may be stored in one partition and still to come in another
        ("@19", [19, 108]),
        ("@1000", []),
        ("2025-05-04T15:41Z", [8, 9, 18, 19, 108]),
        ("2025-05-04T17:00Z", [108]),
        ("-3m", [6, 7, 8, 9, 18, 19, 108]),  # back from what is stored
        ("7", [7, 8, 9, 18, 19]),  # a scan is in one partition: the other never begins
    ],
)
def test_what_comes_meets_the_point_that_what_was_stored_had_to_meet(monkeypatch, point, found):
    log = Tapped([range(10), range(2)], [(18, 0), (5, 1), (19, 0), (108, 1)])
    monkeypatch.setattr(tap, "KafkaLog", lambda *_: log)
    topic = ("--topic", "violet.v.lanes.dc", "--bootstrap-servers", "nobody:1")
    heard = violet("tap", "dc", *topic, "--from", point, "--follow", "--json")
    assert (heard.code, heard.err) == (0, "")
    assert [decode(line.encode()).scan_id for line in heard.out.splitlines()] == found
    assert log.closed
