"""Sources: an archive and a topic as the log of a run, and what both tell of it."""

from types import SimpleNamespace

import pytest

from journal.refusal import Refusal
from lanes.code import Incident, Severity
from reactor.log.presence import Presence
from reactor.run.source import ArchiveSource, BrokerSource, reread
from tests.strategies import encode, plane, scan

LINES = [encode(plane("acb", {"boost": 1.0})), encode(scan(scan_id=1)), b"", encode(scan(scan_id=2))]


@pytest.fixture
def archive(tmp_path):
    """archive(*lines) writes one and returns its source."""

    def write(*lines, **options):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return ArchiveSource(path, "dark", "60x", tmp_path, **options)

    return write


def test_line_n_of_an_archive_is_offset_n_and_its_end_is_the_count_of_its_lines(archive):
    source = archive(*LINES)
    assert (source.lows(), source.ends(), source.known_ends()) == ({0: 0}, {0: 4}, {0: 4})
    assert (source.finite, source.partitions, source.lanes) == (True, 1, None)
    (chunk,) = source.range(0, 1, 3)
    assert (chunk.offsets, chunk.values) == ([1, 2], LINES[1:3])


def test_an_archive_is_known_by_its_bytes_and_not_by_its_path(archive, tmp_path):
    here = archive(*LINES).identity
    other = archive(*LINES, b"{}").identity
    again = archive(*LINES, seeded=True).identity
    assert here["kind"] == "archive"
    assert (here["sha256"], here["lines"]) == (again["sha256"], again["lines"])
    assert here["sha256"] != other["sha256"]
    assert (here["seeded"], again["seeded"]) == (False, True)


def test_an_archive_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"--scans .*nothing.jsonl: no such file; fix: name a scan archive"):
        ArchiveSource(tmp_path / "nothing.jsonl", "dark", "max", tmp_path)


def test_nothing_happens_to_an_archive_that_nobody_opened(archive):
    source = archive(*LINES)
    source.check()
    assert source.take_incidents() == []
    source.close()
    source.close()


def test_an_outage_of_the_broker_is_an_incident_when_it_begins_and_one_when_it_ends():
    source = BrokerSource.__new__(BrokerSource)
    source.presence = Presence(lambda within_s: False, "kafka:9092", lambda: "")
    source.presence.doubt()
    assert source.take_incidents() == []
    source.presence.heard()
    began, ended = source.take_incidents()
    assert (began.severity, began.code) == (Severity.WARN, Incident.BROKER_AWAY)
    assert (ended.severity, ended.code) == (Severity.INFO, Incident.BROKER_BACK)


def test_records_are_read_again_in_the_order_of_their_offsets(archive):
    assert reread(archive(*LINES), 0, [1, 3]) == [LINES[1], LINES[3]]


def test_a_record_without_a_value_is_read_again_as_no_bytes(tmp_path):
    source = SimpleNamespace(range=lambda p, first, end: iter([SimpleNamespace(offsets=[7], values=[None])]))
    assert reread(source, 0, [7]) == [b""]
