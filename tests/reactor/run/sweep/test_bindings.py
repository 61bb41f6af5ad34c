"""Bindings: which there are, what each is, and what is refused."""

import json

import numpy as np
import pytest

from journal.refusal import Refusal
from lanes.profile import PROFILES, override
from reactor.cli.sweep import _axes
from reactor.run.sweep import bindings
from reactor.run.sweep.fused import Graph

BLUE = PROFILES["blue_8b"]
GRAPH = Graph(BLUE)
TEXT = """
[grid]
fanin.abs_max = [8.0, 8.5]
fanin.stalker_cap = ["none", 1.5, 2.0]
[[list]]
acb.enabled = false
[[list]]
base.base_max = 7.5
ob.enabled = false
[random]
count = 1000
seed = 5
base.extreme = [-0.08, -0.04]
dc.boost = [1.0, 1.3]
"""


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.toml"

    def read(text=TEXT, axes=None, **flags):
        path.write_text(text)
        found = bindings.read(BLUE, path, axes or {}, **flags)
        found.check(GRAPH)
        return found

    return read


def test_the_runs_own_comes_first_then_grid_list_and_random(grid):
    found = grid()
    assert len(found) == 1 + 6 + 2 + 1000
    assert found.names == (
        "fanin.abs_max",
        "fanin.stalker_cap",
        "acb.enabled",
        "base.base_max",
        "ob.enabled",
        "base.extreme",
        "dc.boost",
    )
    values = dict(zip(found.names, found.values(0, 9).tolist(), strict=True))
    inf = float("inf")
    assert values["fanin.abs_max"] == [9.0, 8.0, 8.0, 8.0, 8.5, 8.5, 8.5, 9.0, 9.0]
    assert values["fanin.stalker_cap"] == [2.0, inf, 1.5, 2.0, inf, 1.5, 2.0, 2.0, 2.0]
    assert values["acb.enabled"] == [1.0] * 7 + [0.0, 1.0]
    assert (values["base.base_max"][8], values["ob.enabled"][8]) == (7.5, 0.0)
    assert set(values["base.extreme"]) == {-0.05}


def test_any_stretch_is_the_same_part_of_the_whole(grid):
    found = grid()
    whole = found.values(0, len(found))
    parts = [found.values(at, min(at + 97, len(found))) for at in range(0, len(found), 97)]
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()
    drawn = whole[found.names.index("base.extreme"), 9:]
    assert -0.08 <= drawn.min() < -0.079
    assert -0.041 < drawn.max() <= -0.04
    assert abs(drawn.mean() + 0.06) < 0.002
    assert abs(np.corrcoef(drawn, whole[found.names.index("dc.boost"), 9:])[0, 1]) < 0.1
    assert grid(TEXT.replace("seed = 5", "seed = 6")).values(9, 99).tobytes() != found.values(9, 99).tobytes()


def test_flags_add_axes_and_each_lane_off_in_turn(grid):
    found = grid("", {"fanin.abs_max": [8.5]}, each_off=True)
    assert [*found.listed] == [{f"{lane}.enabled": False} for lane in ("base", "dc", "acb", "ob", "esof")]
    assert len(found) == 7
    assert json.loads(found.text())["grid"] == {"fanin.abs_max": [8.5]}


@pytest.mark.parametrize(("text", "words"), [
    ("", "must have 1 to"),
    ("[grid]\nfanin.abs_max = 8.0", "must be a list of values"),
    ("[gird]\nfanin.abs_max = [8.0]", "unknown table gird"),
    ("[grid]\nfanin.max = [8.0]", "fanin.max cannot be swept"),
    ("[grid]\nselect.min_alignment = [0.1]", "select.min_alignment cannot be swept"),
    ("[grid]\nesof.application = ['sc_post']", "esof.application cannot be swept"),
    ("[grid]\nbase.base_max = [0.1, 9.0]", "base.base_max must be at least min_lev"),
    ("[grid]\nfanin.abs_max = [8.0, -1.0]", "fanin.abs_max must be positive"),
    ("[[list]]\nbase.thr = -0.06", "thr must be above extreme"),
    ("[random]\ncount = 5\nbase.extreme = [-0.04, 0.0]", "thr must be above extreme"),
    ("[random]\ncount = 5\nbase.extreme = [-0.04, -0.05]", "must be [least, greatest]"),
    ("[random]\ncount = 5", "must have both count and params"),
    ("[random]\ncount = 5\nob.min_assets = [1, 5]", "is no real number"),
    ("[random]\ncount = -5\nbase.extreme = [-0.05, -0.04]", "whole numbers from 0"),
    ("[grid]\nabs_max = [8.0]", "must be TABLE.KEY"),
    ("[grid", "a TOML file"),
])  # fmt: skip
def test_what_is_refused(grid, text, words):
    with pytest.raises(Refusal, match=words.replace("[", r"\[")):
        grid(text)


def test_a_run_that_rounds_after_the_fan_in_is_refused():
    after = override(BLUE, {"esof": {"application": "sc_post"}})
    with pytest.raises(Refusal, match="sc_post"):
        bindings.read(after, None, {"fanin.abs_max": [8.0]}).check(Graph(after))


@pytest.mark.parametrize("value", ["", "high", float("nan"), float("inf"), 10**400, [8.0], {"a": 1}])
def test_a_value_that_no_param_can_be_is_refused_wherever_it_stands(grid, value):
    for text, axes in (("", {"fanin.abs_max": [8.0, value, 9.0]}), ("[[list]]\nfanin.abs_max = nan\n", {})):
        with pytest.raises(Refusal, match=r"fanin\.abs_max must be a finite number, .*; fix: "):
            grid(text, axes)


def test_values_of_a_param_stand_in_one_place(grid):
    with pytest.raises(Refusal, match=r"in \[grid\] and in --set; fix: "):
        grid("[grid]\nfanin.abs_max = [8.0]\n", {"fanin.abs_max": [9.0]})
    with pytest.raises(Refusal, match="list.* must be tables, was 3"):
        grid("list = 3\n")
    with pytest.raises(Refusal, match="given twice; fix: "):
        _axes(("fanin.abs_max=8", "fanin.abs_max=9"))
