"""The search: it stands on what draws do not come near, and finds what differs only there."""

import numpy as np
import pytest

from lanes import universe
from lanes.profile import PROFILES
from reactor.run import adversary, surface
from reactor.run.surface import Answer, look

BLUE = PROFILES["blue_8b"]


def near_a_bound(inputs, profile, ours):
    """The columns, but that the leverage is one ulp off where a drawn vel_div brings raw next to stalker_cap."""
    gap = adversary._ulps(ours["raw"], profile.fanin.stalker_cap)
    leverage = ours["leverage"].copy()
    is_drawn = ~np.isin(inputs["vel_div"], universe.axes(profile)["vel_div"].values)
    is_drawn &= (ours["strength"] > 0.0) & (ours["strength"] < 1.0)
    leverage[is_drawn & inputs["stalker"] & (gap > 0) & (gap <= 4)] *= 1 + 2.0**-52
    return Answer({"leverage": leverage})


def test_a_difference_beside_a_bound_is_found_where_as_many_draws_miss_it():
    found, closest = adversary.search(BLUE, {"planted": near_a_bound}, 1, "blue_8b")
    assert found.differing["planted"] > 0
    assert found.first[0].place.startswith("search blue_8b, raw at stalker_cap: round ")
    assert closest["raw at stalker_cap"] <= 4.0
    draws = universe.points(universe.drawn(range(found.points)), BLUE)
    assert look(draws, BLUE, {"planted": near_a_bound}, "{}").differing == {"planted": 0}


@pytest.mark.parametrize("name", ["blue_8b", "v3_base9"])
def test_it_comes_to_every_aim_and_the_real_surfaces_are_the_same_there(name):
    found, closest = adversary.search(PROFILES[name], {"scalar": surface.scalar}, 1, name)
    assert found.differing == {"scalar": 0}
    assert all(far is None or far <= 4.0 for far in adversary.aims(closest).values())
    assert (adversary.aims(closest)["raw at stalker_cap"] is None) == (PROFILES[name].fanin.stalker_cap is None)
