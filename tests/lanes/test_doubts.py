"""What a lane marks as doubtful: beyond an edge, and not on it."""

import numpy as np
import pytest

from lanes.code import DcStatus, PlaneForm, Reason
from lanes.esof import esof
from lanes.ob import ob
from lanes.profile import PROFILES, override
from lanes.registry import LANES

BLUE = PROFILES["blue_8b"]
DOUBTS = {lane.name: lane.doubts for lane in LANES}


@pytest.mark.parametrize(
    ("lane", "reason", "values"),
    [("ob", Reason.OB_OUT_OF_RANGE, {0.85: False, np.nextafter(0.85, 0): True, 1.0: False, 1.2: False, np.nextafter(1.2, 2): True}),
     ("acb", Reason.ACB_OUT_OF_RANGE, {0.0: False, 4.0: False, np.nextafter(4.0, 5): True})],
)  # fmt: skip
def test_a_value_is_out_of_range_beyond_its_edge(lane, reason, values):
    found = DOUBTS[lane]({}, np.array(list(values)), getattr(BLUE, lane))[reason]
    assert found.tolist() == list(values.values())


def test_only_an_unknown_status_is_a_doubt():
    status = np.array([each.value for each in DcStatus], dtype=np.int8)
    found = DOUBTS["dc"]({"dc_status": status}, np.ones(len(status)), BLUE.dc)[Reason.DC_UNKNOWN]
    assert found.tolist() == [each is DcStatus.UNKNOWN for each in DcStatus]


def test_a_haircut_s_input_is_out_of_range_beyond_one_on_either_side():
    x = np.array([1.0, -1.0, 0.0, np.nextafter(1.0, 2), np.nextafter(-1.0, -2)])
    found = DOUBTS["esof"]({"esof.x": x}, np.ones(5), BLUE.esof)[Reason.ESOF_OUT_OF_RANGE]
    assert found.tolist() == [False, False, False, True, True]


def test_a_base_that_cannot_move_is_allowed():
    assert override(BLUE, {"base": {"base_max": BLUE.base.min_lev}}).base.base_max == BLUE.base.min_lev


def test_splits_lie_two_edges_apart_and_plateaus_ascend():
    apart = {"splits": [-0.5, -0.25, 0.0, 0.25], "edge": 0.125}  # exactly two edges
    assert override(BLUE, {"esof": apart}).esof.edge == 0.125
    rest = list(BLUE.esof.plateaus[2:])
    for change in (
        apart | {"edge": 0.1250001},
        {"splits": [0.0, 0.0, 0.5, 1.0], "edge": 1e-300},
        {"plateaus": [0.1, 0.1, *rest]},
    ):
        with pytest.raises(ValueError, match="must ascend"):
            override(BLUE, {"esof": change})


def test_a_plane_that_was_never_seen_is_neutral_whatever_lies_in_its_columns():
    p = BLUE.ob
    limits = (p.imb_from, p.imb_full, p.agree_above, p.up, p.down, p.min_assets)
    assert ob(int(PlaneForm.NEVER_SEEN), 1.1, -0.2, 0.9, 6, *limits) == 1.0


def test_a_ramp_of_the_haircut_ends_in_the_plateau_itself():
    splits, plateaus = (0.1, 0.5, 0.9, 1.3), (0.1, 0.2, 0.4, 0.8, 1.0)
    for edge in (0.03, 0.05, 0.07, 0.11):
        for split, plateau in zip(splits, plateaus[1:], strict=True):
            assert esof(int(PlaneForm.INPUTS), split + edge, 0, splits, plateaus, edge, 0.4, 900_000) == plateau
