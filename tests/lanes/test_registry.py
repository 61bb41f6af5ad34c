"""The registry: lanes beyond the five join by their declaration, and one that cannot stand with the others is refused."""

import dataclasses
import importlib
import sys

import pytest

OURS = ("lanes", "tests.own_lane.funding")


@pytest.fixture
def fresh(monkeypatch):
    """Import modules as a new process would; the lanes that this process has come back at the end."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(OURS)}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module
    for name in [each for each in sys.modules if each.startswith(OURS)]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def funding(fresh):
    """The sixth lane of the tests, not registered yet."""
    return fresh("tests.own_lane.funding").LANE


@pytest.fixture
def joined(fresh):
    """Registers lanes and gives the registry."""

    def join(*lanes):
        for lane in lanes:
            fresh("lanes.lane").register(lane)
        return fresh("lanes.registry")

    return join


def other(lane, **changes):
    """The same declaration with changes; those of its one plane are given as `plane`."""
    plane = dataclasses.replace(lane.planes[0], **changes.pop("plane", {}))
    return dataclasses.replace(lane, **{"planes": (plane,)} | changes)


def twin(lane, **plane):
    """A second lane, with names and bits of its own but for what is given."""
    own = {"name": "rates", "missing": 42, "stale": 43} | plane
    return other(lane, name="rates", inputs=(f"{own['name']}.form",), components=("rates_dear",), plane=own)


def test_a_lane_that_is_registered_comes_after_the_five_with_its_plane_and_its_bits(funding, joined):
    registry = joined(funding)
    assert [lane.name for lane in registry.MORE] == ["funding"]
    assert (*registry.FIVE, funding) == registry.LANES
    assert registry.READ["funding"] is funding.planes[0]
    assert (registry.REASONS[40], registry.REASONS[41]) == ("PLANE_MISSING_FUNDING", "PLANE_STALE_FUNDING")


def test_two_lanes_stand_in_the_order_of_their_names(funding, joined):
    assert [lane.name for lane in joined(twin(funding), funding).MORE] == ["funding", "rates"]


def test_a_lane_may_read_a_plane_of_the_five(funding, fresh, joined):
    ob = fresh("lanes.ob").LANE.planes[0]
    registry = joined(dataclasses.replace(funding, planes=(ob,), inputs=("ob.form", "ob.x")))
    assert list(registry.READ) == ["acb", "meta", "mc", "ob", "esof", "posture", "capital"]


def test_a_lane_that_is_off_has_no_columns_and_one_that_is_on_has(funding, fresh, joined):
    joined(funding)
    profiles = fresh("lanes.profile")
    off = profiles.PROFILES["blue_8b"]
    on = profiles.profile("blue_8b", {"funding": {"enabled": True}})
    assert [lane.name for lane in off.lanes] == ["base", "dc", "acb", "ob", "esof"]
    assert [lane.name for lane in on.lanes] == ["base", "dc", "acb", "ob", "esof", "funding"]


def test_after_the_registry_was_made_no_lane_can_join(funding, joined, fresh):
    joined()
    with pytest.raises(RuntimeError, match="lane funding must be registered before"):
        fresh("lanes.lane").register(funding)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"off": None}, "off must hold its params with enabled=False"),
        ({"name": "dc"}, "the columns dc must be its own"),
        ({"name": "acb"}, "the columns acb must be its own"),  # no stored column: its factors are
        ({"components": ("strength",)}, "the columns strength must be its own"),
        ({"inputs": ("ob.x", "vel_div")}, "inputs must be of its planes, were of ob"),
        ({"plane": {"name": "ob"}, "inputs": ("ob.x",)}, "planes must have names of their own"),
        ({"plane": {"missing": 31}}, "planes must have two bits of their own"),
        ({"plane": {"stale": 64}}, "planes must have two bits of their own"),
        ({"plane": {"stale": 40}}, "planes must have two bits of their own"),
        ({"plane": {"missing": -1}}, "planes must have two bits of their own"),
    ],
    ids=str,
)
def test_a_lane_that_cannot_stand_is_refused_by_the_rule(funding, joined, changes, message):
    with pytest.raises(ValueError, match=message):
        joined(other(funding, **changes))


@pytest.mark.parametrize("bits", [(32, 63), (63, 32)])
def test_every_bit_from_32_to_63_may_be_taken(funding, joined, bits):
    assert joined(other(funding, plane=dict(zip(("missing", "stale"), bits, strict=True)))).MORE


def test_all_bits_may_be_taken_at_once(funding, joined):
    lanes = [
        other(
            funding, name=f"lane{i:02}", components=(), inputs=(),
            plane={"name": f"plane{i:02}", "missing": bit, "stale": bit + 1},
        )
        for i, bit in enumerate(range(32, 64, 2))
    ]  # fmt: skip
    assert len(joined(*lanes).MORE) == 16


def test_lanes_that_are_off_only_as_a_whole_are_refused_too(funding, joined):
    on = funding.off.model_copy(update={"enabled": True})
    with pytest.raises(ValueError, match="off must hold its params with enabled=False"):
        joined(other(funding, off=on))


def test_two_lanes_of_one_column_are_refused(funding, joined):
    with pytest.raises(ValueError, match="lane rates: the columns funding_dear must be its own"):
        joined(funding, dataclasses.replace(twin(funding), components=("funding_dear",)))


def test_a_form_has_at_most_three_fields_and_a_field_one_kind(funding, fresh, joined):
    lane = fresh("lanes.lane")
    four = tuple(lane.Field(name, lane.Kind.NUMBER) for name in ("a", "b", "c", "d"))
    with pytest.raises(ValueError, match="a form must have at most 3 fields"):
        joined(other(funding, plane={"forms": (funding.planes[0].forms[0], four)}))


def test_a_fields_name_has_one_kind_in_all_planes(funding, fresh, joined):
    lane = fresh("lanes.lane")
    with pytest.raises(ValueError, match="plane funding: mult must be a number of at least 0 as elsewhere"):
        joined(other(funding, plane={"forms": ((lane.Field("mult", lane.Kind.NUMBER),),)}))
