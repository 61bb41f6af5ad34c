"""The certificate: the same for any number of workers, and it fails for one ulp within a minute."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from journal.refusal import Refusal
from lanes.universe import BLOCK
from reactor.cli.main import run
from reactor.run import adversary, certificate, surface
from reactor.run.certificate import Universe, canonical, certify
from reactor.run.surface import Answer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def test_one_worker_and_two_find_the_same(tmp_path):
    totals = []
    for workers in (1, 2):
        totals.append(surface.Tally())
        for found in certificate._draws(Universe(points=3 * BLOCK + 77, seed=12_345, workers=workers), tmp_path):
            totals[-1].add(found)
    assert totals[0] == totals[1]
    assert totals[0].points == 3 * BLOCK + 77


def test_the_command_of_the_page_prints_and_keeps_one_certificate(violet, tmp_path):
    page = (ROOT / "docs/design/universe.md").read_text("utf-8")
    (line,) = re.findall(r"^violet (.+ -o certificate.json)$", page, re.MULTILINE)
    asked = [*line.replace(" 1000000 ", " 1000 ").split(), "--workers", "2", "--json"]
    made = violet(*asked, timeout=240, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    found = json.loads((tmp_path / "certificate.json").read_text("utf-8"))
    assert found == json.loads(made.stdout)
    assert (found["verdict"], found["blue"]["verdict"], found["points"]["draws"]) == ("PASS", "HOLD", 1_000)
    assert found["surfaces"] == ["columns", "scalar", "python", "sql"]
    assert set(found["differing"].values()) == {0}
    again = violet(*asked, cwd=tmp_path)
    assert (again.returncode, "must not exist yet" in again.stderr) == (3, True)


def test_one_ulp_in_one_lane_of_one_surface_is_found_within_a_minute(monkeypatch):
    def planted(inputs, profile, ours):
        """One point in 2 ** 14, by the bits of its vel_div."""
        found = surface.scalar(inputs, profile, ours)
        ob = found.columns["ob"].copy()
        hit = inputs["vel_div"].view(np.uint64) % np.uint64(1 << 14) == 0
        ob[hit] = np.nextafter(ob[hit], np.inf)
        return Answer(found.columns | {"ob": ob})

    class FoundIt(Exception):
        pass

    def look(done, differing):
        if differing:
            raise FoundIt

    monkeypatch.setattr(Universe, "surfaces", property(lambda self: {"scalar": planted}))
    began = time.monotonic()
    with pytest.raises(FoundIt):
        certify(Universe(points=1_000_000, seed=1), look)
    assert time.monotonic() - began < 60


def test_a_foreign_kernel_that_differs_fails_blues_line(tmp_path, monkeypatch, capfd):
    (tmp_path / "theirs.py").write_text(
        "import math\n\n\ndef make(profile):\n    return lambda point: {'dc': math.nextafter(1.0, 2.0)}\n", "utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(adversary, "AIMS", {})
    assert run(["verify", "--universe", "--points", "10", "--against", "theirs:make", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert (found["verdict"], found["blue"]["verdict"]) == ("FAIL", "FAIL")
    assert found["differing"]["theirs:make"] > 0 == found["differing"]["scalar"]
    assert found["against"]["theirs:make"]
    assert found["first_differing"][0]["column"] == "dc"


@pytest.mark.parametrize("flags", [["--points", "5"], ["-o", "c.json"], ["--universe", "latest"]])
def test_flags_that_do_not_go_together_are_refused(flags, capfd):
    assert run(["verify", *flags]) == 3
    assert "--universe" in capfd.readouterr().err


def test_a_worker_that_dies_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(certificate.json, "dumps", lambda *_: "not json")
    with pytest.raises(Refusal, match="a worker died: .*fix: ask again with --workers 1"):
        [*certificate._draws(Universe(points=2 * BLOCK, seed=0, workers=2), tmp_path)]


def test_a_certificate_is_named_by_its_hash(monkeypatch):
    monkeypatch.setattr(certificate, "wheel", lambda: "w")
    made = certificate._made(
        Universe(points=1, seed=1), dict.fromkeys(("edges", "draws", "search"), surface.Tally()), {}
    )
    body = {name: value for name, value in made.items() if name != "hash"}
    assert made["hash"] == certificate.hashlib.sha256(canonical(body)).hexdigest()
