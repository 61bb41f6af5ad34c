"""What every lane keeps to by standing in LANES."""

import ast
import inspect

import numpy as np
import pytest

from lanes import columns, fanin
from lanes.kernel import Kernel, kernel
from lanes.params import LaneParams
from lanes.profile import Profile, override, profile
from lanes.registry import FIVE, LANES, MORE, PLANES
from tests.lanes import points
from tests.lanes.bits import same

BLUE = profile("blue_8b", {lane.name: {"enabled": True} for lane in MORE})
NAMES = [lane.name for lane in LANES]
FIELDS = columns.evaluate(points.inputs(1, 0, BLUE), BLUE, {}).columns.keys()

each_lane = pytest.mark.parametrize("lane", LANES, ids=NAMES)


def module(lane):
    return inspect.getmodule(lane.kernel.py_func)


def calls(compiled):
    """Kernels that a kernel calls."""
    function = compiled.py_func
    called = [function.__globals__.get(name) for name in function.__code__.co_names]
    return [each for each in called if isinstance(each, Kernel)]


def test_five_lanes_in_the_order_of_the_product():
    assert [lane.name for lane in FIVE] == NAMES[:5] == ["base", "dc", "acb", "ob", "esof"]


@each_lane
def test_name_is_module_kernel_column_and_params(lane):
    assert getattr(module(lane), lane.name).py_func.__name__ == lane.name
    assert {lane.name, *lane.components} <= FIELDS
    assert Profile.model_fields[lane.name].annotation is lane.params
    assert module(lane).LANE is lane
    assert issubclass(lane.params, LaneParams)


@each_lane
def test_a_lane_states_its_formula_and_its_source(lane):
    assert lane.formula
    assert lane.source
    assert lane not in FIVE or "Source: " in module(lane).__doc__


@each_lane
def test_a_scalar_kernel_calls_no_kernel(lane):
    assert calls(getattr(module(lane), lane.name)) == []


@pytest.mark.parametrize("loop", [*(columns._loop(lane) for lane in LANES), fanin.column], ids=[*NAMES, "fanin"])
def test_a_loop_calls_only_kernels_of_its_file(loop):
    """Else numba's cache would go on with the machine code of an older kernel."""
    assert calls(loop)
    assert {inspect.getfile(each.py_func) for each in calls(loop)} == {inspect.getfile(loop.py_func)}


@each_lane
def test_a_lane_imports_no_lane(lane):
    nodes = ast.walk(ast.parse(inspect.getsource(module(lane))))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom | ast.Import)]
    words = {word for n in imports for word in (getattr(n, "module", ""), *(name.name for name in n.names))}
    assert {"lanes.kernel", "lanes.lane"} <= words
    assert not words & {*NAMES, *(f"lanes.{name}" for name in NAMES)}


@pytest.mark.parametrize("lane", FIVE, ids=NAMES[:5])
def test_a_lane_of_the_five_that_is_off_is_one_and_has_its_columns(lane):
    where = points.inputs(500, 3, BLUE)
    readings = columns.evaluate(where, override(BLUE, {lane.name: {"enabled": False}}), {})
    for name in {lane.name, *lane.components} - {"strength"}:
        assert (readings.columns[name] == 1.0).all()
    assert same(readings.columns["strength"], columns.evaluate(where, BLUE, {}).columns["strength"]).all()


@each_lane
def test_a_lane_that_is_off_stays_off_under_a_foreign_kernel(lane):
    off = override(BLUE, {lane.name: {"enabled": False}})
    readings = columns.evaluate(points.inputs(500, 3, BLUE), off, {lane.name: np.full(500, 0.5)})
    assert (readings.columns.get(lane.name, np.ones(500)) == 1.0).all()


@each_lane
def test_a_foreign_column_takes_the_place_of_the_default(lane):
    where = points.inputs(500, 3, BLUE)
    foreign = np.linspace(0.0, 1.0, 500)
    plain, readings = columns.evaluate(where, BLUE, {}), columns.evaluate(where, BLUE, {lane.name: foreign})
    assert same(readings.columns[lane.name], foreign).all()
    others = [other.name for other in LANES if other is not lane]
    assert all(same(readings.columns[name], plain.columns[name]).all() for name in others)


@each_lane
def test_a_lane_that_is_not_finite_is_named(lane):
    where = points.inputs(4, 0, BLUE)
    for column in where.values():
        column[:] = 1
    for bad in (np.nan, np.inf, -np.inf):
        foreign = np.array([1.0, bad, 1.0, 1.0])
        marks = columns.evaluate(where, BLUE, {lane.name: foreign}).non_finite
        clamped = lane.name == "esof" and not np.isnan(bad)
        assert marks.tolist() == [0, 0 if clamped else NAMES.index(lane.name) + 1, 0, 0]


def test_the_first_lane_that_is_not_finite_is_the_one_named():
    where = points.inputs(1, 0, BLUE)
    for column in where.values():
        column[:] = 1
    nan = np.array([np.nan])
    for first in range(len(LANES)):
        foreign = dict.fromkeys(NAMES[first:], nan)
        assert columns.evaluate(where, BLUE, foreign).non_finite.tolist() == [first + 1]


def test_kernels_are_compiled_without_licence_to_reorder():
    compiled = kernel(lambda x: x).compiled
    assert compiled.targetoptions["error_model"] == "numpy"
    assert compiled.targetoptions["fastmath"] is False
    assert "parallel" not in compiled.targetoptions


# -- what a declaration says ---------------------------------------------------------------------------------------

STORED = {
    "base": ("strength", "base"), "dc": ("dc",), "acb": ("acb_boost", "meta_boost", "mc_scale"), "ob": ("ob",),
    "esof": ("esof",),
}  # fmt: skip
SLOTS = {"acb": "x", "meta": "x", "mc": "x", "ob": "xyz", "esof": "x", "posture": "x", "capital": "x", "cadence": "x"}


@pytest.mark.parametrize("lane", FIVE, ids=NAMES[:5])
def test_a_lane_of_the_five_has_these_columns_and_its_value_is_made_of_them(lane):
    assert lane.stored == STORED[lane.name]
    assert lane.made_of == (STORED["acb"] if lane.name == "acb" else (lane.name,))
    columns_of = {name: np.array([1.5 + i, 0.3]) for i, name in enumerate(lane.stored)}
    value = np.ones(2)
    for name in lane.made_of:
        value = value * columns_of[name]
    assert same(lane.value(columns_of), value).all()


def test_an_overflow_of_factors_is_infinite_and_no_warning():
    assert LANES[2].value({name: np.array([1e200]) for name in STORED["acb"]}).tolist() == [np.inf]


def test_what_a_lane_reads_is_told_apart_by_where_it_stands():
    base, dc, acb = LANES[:3]
    assert (base.scanned, dc.scanned) == (("vel_div",), ("dc_status",))
    assert "w750" in acb.scanned
    assert all("." not in name for lane in LANES for name in lane.scanned)
    assert all("." in name for lane in LANES for name in lane.borrowed)
    assert [*acb.borrowed, *base.borrowed] == ["base.thr", "base.extreme", "base.convexity"]


def test_a_reading_shows_the_components_and_what_is_named_besides():
    assert LANES[0].shown == {"strength": "strength", "vel_div": "vel_div"}
    assert LANES[4].shown == {"esof_fanin": "esof_fanin", "sc_mult": "sc_mult"}


@pytest.mark.parametrize("name", SLOTS)
def test_a_plane_has_as_many_slots_as_its_longest_form_has_fields(name):
    assert PLANES[name].slots == SLOTS[name]
    assert PLANES[name].is_text == (name == "posture")


def test_each_lane_says_when_it_is_done_and_the_fan_in_last():
    done = []
    columns.evaluate(points.inputs(3, 0, BLUE), BLUE, {}, done.append)
    assert done == ["", *NAMES, "fanin"]


@pytest.mark.parametrize("lane", [lane for lane in LANES if lane.foreign_plane], ids=lambda lane: lane.name)
def test_a_lane_that_is_off_is_one_though_a_kernel_stands_in_it(lane):
    off = override(BLUE, {lane.name: {"enabled": False}})
    given = columns.evaluate_lane(lane, points.inputs(3, 0, off), off, np.full(3, 0.25))
    assert given.value.tolist() == [1.0, 1.0, 1.0]
