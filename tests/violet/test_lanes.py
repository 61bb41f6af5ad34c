"""Lanes as functions: the kernels' values, params by name, and a refusal for what does not fit."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes import acb, base, esof, ob
from lanes.code import PlaneForm
from lanes.profile import PROFILES
from lanes.registry import BY_NAME
from violet import Refusal, lanes

BLUE = PROFILES["blue_8b"]
floats = st.floats(-2.0, 2.0)


def test_the_examples_are_true():
    found = doctest.testmod(lanes)
    assert found.attempted > 4
    assert found.failed == 0


@given(floats, floats, st.floats(0.0, 5.0))
def test_a_scalar_has_the_bits_of_the_pure_kernel(vel_div, w750, signals):
    assert lanes.base(vel_div) == base.base.py_func(vel_div, *BLUE.constants(BY_NAME["base"]))[-1]
    read = (int(PlaneForm.INPUTS), signals, False, 0.0, False, 0.0, vel_div, w750)
    assert (
        lanes.acb(signals=signals, vel_div=vel_div, w750=w750)
        == (acb.acb.py_func(*read, *BLUE.constants(BY_NAME["acb"]))[-1])
    )


def test_a_plane_is_given_in_one_of_its_forms_or_not_at_all():
    constants = BLUE.constants(BY_NAME["ob"])
    form = int(PlaneForm.INPUTS)
    assert lanes.ob() == lanes.acb() == 1.0
    assert lanes.ob(mult=0.9) == 0.9
    assert lanes.ob(eff_imb=-0.2, agree=0.8, n_assets=5) == ob.ob.py_func(form, -0.2, -0.2, 0.8, 5.0, *constants)
    assert lanes.esof() == BLUE.esof.stale == lanes.esof(mult=0.9, age_ms=900_001)
    assert lanes.esof(score=0.1) == esof.esof.py_func(form, 0.1, 0, *BLUE.constants(BY_NAME["esof"]))
    for wrong in ({"mult": 1.0, "eff_imb": 0.1}, {"eff_imb": 0.1}):
        with pytest.raises(Refusal, match="must be given in one of its forms"):
            lanes.ob(**wrong)


def test_arrays_and_scalars_go_together():
    found = lanes.acb(boost=[[1.0, 2.0], [3.0, 4.0]], mc=0.5)
    assert found.tolist() == [[0.5, 1.0], [1.5, 2.0]]
    assert lanes.dc(["CONFIRM", "CONTRADICT", "what"]).tolist() == [1.1, 1.0, 1.0]
    assert math.isnan(lanes.base(np.nan))


def test_a_lane_that_is_off_is_one_and_params_are_named():
    assert lanes.acb(boost=2.0, profile="v3_base9") == 1.0
    assert lanes.base(-0.05, base_max=9.0) == 9.0
    assert lanes.fanin(20.0, profile=lanes.profile(fanin={"abs_max": 5.0})).leverage == 5.0
    for ask, words in (
        (lambda: lanes.base(-0.05, base_mox=9.0), "did you mean base.base_max"),
        (lambda: lanes.base(-0.05, profile="blue"), "no profile 'blue'"),
        (lambda: lanes.base("much"), "inputs must be numbers"),
        (lambda: lanes.base([0.1, 0.2], thr=[1]), "base.thr"),
        (lambda: lanes.acb(boost=[1.0, 2.0], mc=[1.0, 2.0, 3.0]), "of one shape"),
        (lambda: lanes.reading("x", {}), "no lane 'x'"),
        (lambda: lanes.reading("dc", {"x": 1}), "inputs must be dc_status"),
    ):
        with pytest.raises(Refusal, match=words):
            ask()
