"""The modular source's workers: one that dies at its start is named with its words and not started for ever."""

import time

import pytest

from journal import child
from journal.refusal import Refusal
from reactor.log.connection import plain
from reactor.run.settings import load
from reactor.run.source import ArchiveSource
from reactor.topology.lane_source import LaneSource
from reactor.topology.segments import LaneSegments
from tests.strategies import encode, scan, write_archive


def watch(source):
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        source.check()
        time.sleep(0.05)


def test_a_worker_that_cannot_start_ends_the_soak_with_its_last_words(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "faust.py").write_text("raise SystemExit('this Faust is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    monkeypatch.setattr(child, "AGAIN_S", 0.0)
    archive = write_archive(tmp_path / "a.jsonl", [encode(scan())])
    settings = load({"data": tmp_path, "scans": archive, "topology": "faust", "lane_workers": 2}, None)
    source = LaneSource(ArchiveSource(archive, "violet", "max", tmp_path), settings, LaneSegments)
    source._source.connection = plain("127.0.0.1:1")  # none is asked: the workers end before
    try:
        source._begin()
        with pytest.raises(
            Refusal, match=r"the worker of lanes .* ended 4 times .* this Faust is broken; fix: mend that"
        ):
            watch(source)
    finally:
        source.close()
