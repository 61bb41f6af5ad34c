"""Surfaces: one ulp in one lane of one of them is found, and what is no difference is none."""

import sys
from types import ModuleType

import numpy as np
import pytest

from journal.refusal import Refusal
from lanes import twin, universe
from lanes.profile import PROFILES
from reactor.run import surface
from reactor.run.surface import Answer, Tally, look

BLUE = PROFILES["blue_8b"]
POINTS = universe.points(universe.drawn(range(4_000)), BLUE)
FLOATS = ("base", "dc", "acb", "ob", "esof", "raw", "cap", "leverage", "notional_usd")
FORMS = {"scalar": surface.scalar, "python": surface.python}


PLACE = "point {}"


def planted(form, column, change, row=1_234):
    """A surface with one value changed."""

    def given(inputs, profile, ours):
        columns = {name: np.array(values) for name, values in form(inputs, profile, ours).columns.items()}
        columns[column][row] = change(columns[column][row])
        return Answer(columns)

    return given


@pytest.fixture
def foreign():
    """foreign(factory) makes it importable, and gives its path."""
    module = ModuleType("of_somebody")
    module.__file__ = __file__
    sys.modules["of_somebody"] = module

    def make(factory):
        module.make = factory
        return surface.against("of_somebody:make")[0]

    yield make
    del sys.modules["of_somebody"]


def of_ours(**changed):
    """A factory whose kernel gives what plain Python gives for one point, some columns changed."""

    def factory(profile):
        def kernel(point):
            one = {name: np.array([value], POINTS[name].dtype) for name, value in point.items()}
            given = {name: twin.python(one, profile)[name][0].item() for name in ("leverage", "notional_usd", "acb")}
            return given | {name: change(given[name]) for name, change in changed.items()}

        return kernel

    return factory


def test_the_forms_give_the_same_bits():
    tally = look(POINTS, BLUE, FORMS, PLACE)
    assert (tally.points, tally.compared) == (4_000, {"scalar": 4_000, "python": 4_000})
    assert (tally.differing, tally.first) == ({"scalar": 0, "python": 0}, [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("column", FLOATS)
def test_one_ulp_in_one_column_of_one_surface_is_found(form, column):
    def change(value):
        return np.nextafter(value, np.inf) if np.isfinite(value) else 1.0

    tally = look(POINTS, BLUE, FORMS | {form: planted(FORMS[form], column, change)}, PLACE)
    other = next(name for name in FORMS if name != form)
    assert tally.differing == {form: 1, other: 0}
    (found,) = tally.first
    assert (found.surface, found.column, found.place) == (form, column, "point 1234")
    assert float.fromhex(found.inputs["vel_div"]).hex() == found.inputs["vel_div"]


def test_both_zeros_are_two_values():
    row = int(np.flatnonzero(twin.whole(universe_readings())["esof"] == 0.0)[0])
    tally = look(POINTS, BLUE, {"python": planted(surface.python, "esof", np.negative, row)}, PLACE)
    assert tally.differing == {"python": 1}


def test_two_nan_are_one_value_whatever_their_payload():
    row = int(np.flatnonzero(np.isnan(twin.whole(universe_readings())["base"]))[0])
    other = np.array([0x7FF8_0000_0000_BEEF], np.uint64).view(np.float64)[0]
    tally = look(POINTS, BLUE, {"python": planted(surface.python, "base", lambda _: other, row)}, PLACE)
    assert tally.differing == {"python": 0}


def universe_readings():
    from lanes.columns import evaluate

    return evaluate(POINTS, BLUE, {})


def some(n=200):
    return {name: column[:n] for name, column in POINTS.items()}


def test_a_foreign_kernel_is_asked_where_all_is_finite(foreign):
    tally = look(some(), BLUE, {"theirs": foreign(of_ours())}, PLACE)
    assert tally.compared["theirs"] == np.count_nonzero(universe_readings().non_finite[:200] == 0) < 200
    assert tally.differing == {"theirs": 0}


def test_a_foreign_kernel_that_is_one_ulp_off_is_found(foreign):
    tally = look(some(), BLUE, {"theirs": foreign(of_ours(leverage=lambda v: np.nextafter(v, 9.9)))}, PLACE)
    assert tally.differing["theirs"] == tally.compared["theirs"]
    assert {found.column for found in tally.first} == {"leverage"}
    assert len(tally.first) == surface.NAMED


def test_a_foreign_kernel_that_raises_differs_with_its_words(foreign):
    def factory(profile):
        def kernel(point):
            raise ArithmeticError("too small")

        return kernel

    tally = look(some(), BLUE, {"theirs": foreign(factory)}, PLACE)
    assert tally.differing == tally.compared
    assert tally.first[0].surface_gave == "ArithmeticError: too small"


def test_a_foreign_kernel_that_gives_a_column_for_some_points_alone_differs_in_the_others(foreign):
    def factory(profile):
        kernel = of_ours()(profile)
        return lambda point: kernel(point) if point["stalker"] else {}

    tally = look(some(), BLUE, {"theirs": foreign(factory)}, PLACE)
    assert 0 < tally.differing["theirs"] < tally.compared["theirs"]


def test_a_value_that_is_no_number_is_the_kernels_error(foreign):
    tally = look(some(), BLUE, {"theirs": foreign(lambda profile: lambda point: {"leverage": "high"})}, PLACE)
    assert tally.differing == tally.compared
    assert tally.first[0].surface_gave == "ValueError: could not convert string to float: 'high'"


def test_a_column_that_is_none_of_ours_is_refused(foreign):
    with pytest.raises(Refusal, match="gave 'levrage'; fix: give some of"):
        look(some(), BLUE, {"theirs": foreign(lambda profile: lambda point: {"levrage": 1.0})}, PLACE)


@pytest.mark.parametrize("path", ["json:loads", "os:getcwd"])
def test_what_makes_no_kernel_is_refused(path):
    with pytest.raises(Refusal, match=f"--against {path} made no kernel of .*; fix: a factory"):
        look(some(), BLUE, {"theirs": surface.against(path)[0]}, PLACE)


@pytest.mark.parametrize("path", ["no_colon", "no.such:module", "lanes.twin:no_such", "builtins:print"])
def test_a_foreign_kernel_that_cannot_be_loaded_is_refused(path):
    with pytest.raises(Refusal, match="--against"):
        surface.against(path)


def test_sums_do_not_depend_on_order():
    parts = [look({n: c[at : at + 500] for n, c in POINTS.items()}, BLUE, FORMS, PLACE) for at in range(0, 4_000, 500)]
    totals = [Tally(), Tally()]
    for total, order in zip(totals, (parts, parts[::-1]), strict=True):
        for part in order:
            total.add(part)
    assert totals[0] == totals[1] == look(POINTS, BLUE, FORMS, PLACE)
