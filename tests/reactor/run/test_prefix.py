"""Prefixes: a record alone comes out as in its batch, and not where something looks ahead."""

import re
from pathlib import Path

import numpy as np
import pytest

from lanes.code import Outcome
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.inputs import PlaneColumns
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.run.prefix import alone
from tests.integration import records

ROOT = Path(__file__).parents[3]
BLUE = PROFILES["blue_8b"]
LINES = records.mixed(120)


# A kernel that goes up to the loop over records, and takes the vel_div of the next scan where there is one.
PEEKING = """import inspect


def factory(params):
    def kernel(scan, planes):
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_name != "_gather":
            frame = frame.f_back
        at = frame.f_locals["at"] - frame.f_locals["first"] + 1
        later = frame.f_locals["records"][at:]
        return 1.0 + next((abs(each.vel_div) for each in later if hasattr(each, "vel_div")), 0.0)

    return kernel
"""


def chunk():
    return Chunk(0, list(range(10, 10 + len(LINES))), LINES)


RULES = Rules(BLUE)


def both(rules=RULES):
    """Hashes by offset and kind: of one batch, and of each record alone."""
    batch = step(State(), chunk(), rules, Decoder(), topic="t", segment=1, expected=10)
    each = alone(State(), chunk(), rules, Decoder(), topic="t", segment=1)
    return [
        {(kind, at): h for kind in Outcome for at, h in zip(b.rows[kind].offsets.tolist(), b.rows[kind].hashes.tolist(), strict=True)}
        for b in (batch, each.whole)
    ]  # fmt: skip


def test_a_record_alone_comes_out_as_in_its_batch():
    batch, each = both()
    assert batch == each
    assert {kind for kind, _ in batch} == set(Outcome)
    assert len(batch) == len(LINES)


def test_a_plane_that_is_read_before_it_came_is_found(monkeypatch):
    def last(self, name, column):
        """Every scan sees the last plane of its batch."""
        return column[np.full_like(self._places[name], self._places[name].max(initial=0))]

    monkeypatch.setattr(PlaneColumns, "of", last)
    batch, each = both()
    differing = {at for at in batch if batch[at] != each.get(at)}
    assert len(differing) > len(LINES) // 4


def test_a_kernel_that_reads_the_next_record_is_found():
    names = {}
    exec(PEEKING, names)
    batch, each = both(Rules(BLUE, {"acb": names["factory"](None)}))
    assert {kind for kind, at in batch if batch[kind, at] != each.get((kind, at))} >= {Outcome.DECISION}


@pytest.mark.slow
def test_the_command_names_the_lane_that_looked_ahead(journal, tmp_path, monkeypatch):
    (tmp_path / "peeking.py").write_text(PEEKING, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text('[acb]\nkernel = "peeking:factory"\n', "utf-8")
    archive = records.write(tmp_path / "scans.jsonl", LINES)
    honest = journal.soak(scans=archive)
    ahead = journal.soak(scans=archive, config=config)
    page = (ROOT / "docs/replay.md").read_text("utf-8")
    (line,) = re.findall(r"^violet (.+) --data my-soak --prefix$", page, re.MULTILINE)
    said = journal.violet(*line.replace("RUN", honest.run_id).split(), "--prefix", "--json")
    assert (said.code, said.json["verdict"], said.json["differing"], said.json["lanes_ahead"]) == (0, "PASS", 0, [])
    assert said.json["recomputed"] == len(LINES)
    said = journal.violet("replay", ahead.run_id, "--prefix", "--json")
    assert (said.code, said.json["verdict"], said.json["lanes_ahead"]) == (1, "FAIL", ["acb"])
    assert said.json["differing"] > 10
    assert journal.violet("verify", ahead.run_id, "--json").code == 0  # what the batch gave it gives again
    for flag in (["--new"], ["--set", "acb.enabled=false"], ["--name", "n"], ["--batch-size", "9"]):
        assert journal.violet("replay", honest.run_id, "--prefix", *flag).code == 3
