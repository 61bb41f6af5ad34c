import math
import warnings

import pytest
from pydantic import ValidationError

from lanes.dc import DcParams
from lanes.params import Count, NotNegative, Params, Share, SpanMs
from lanes.profile import PROFILES, Profile, profile
from lanes.registry import LANES

BLUE, V3 = PROFILES["blue_8b"], PROFILES["v3_base9"]
TABLES = [name for name in Profile.model_fields if name != "name"]


def test_no_model_has_a_default():
    for table in TABLES:
        for name, field in type(getattr(BLUE, table)).model_fields.items():
            assert field.is_required(), f"{table}.{name}"


def test_blue_8b_is_what_the_contract_says():
    assert (BLUE.base.thr, BLUE.base.extreme, BLUE.base.convexity) == (-0.02, -0.05, 3.0)
    assert (BLUE.base.min_lev, BLUE.base.base_max) == (0.5, 8.0)
    assert (BLUE.fanin.abs_max, BLUE.fanin.stalker_cap, BLUE.fanin.fraction) == (9.0, 2.0, 0.2)
    assert BLUE.fanin.paper_capital_usd == 25_000.0
    assert all(getattr(BLUE, lane.name).enabled for lane in LANES)
    assert BLUE.esof.application == "fan_in"


def test_v3_base9_is_the_cubic_to_9_and_nothing_else():
    assert (V3.base.base_max, V3.fanin.abs_max, V3.dc.boost, V3.fanin.stalker_cap) == (9.0, 9.0, 1.0, None)
    assert [lane.name for lane in LANES if getattr(V3, lane.name).enabled] == ["base", "dc"]


def test_the_hash_is_of_everything_but_the_name():
    assert BLUE.hash == BLUE.model_copy(update={"name": "other"}).hash
    assert len({BLUE.hash, V3.hash, profile("blue_8b", {"dc": {"boost": 1.15}}).hash}) == 3
    assert len(BLUE.hash) == 16
    assert int(BLUE.hash, 16) > 0


def test_a_hash_changes_with_every_constant():
    others = [
        BLUE.model_copy(update={table: params.model_copy(update={key: ("another", value)})})
        for table, params in BLUE if table != "name"
        for key, value in params
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic: not the type of the field
        assert len({BLUE.hash, *(other.hash for other in others)}) == len(others) + 1


def test_the_hash_is_known():
    """It stands on every stored row: another one is another segment. A change is a CHANGELOG line."""
    assert (BLUE.hash, V3.hash) == ("115dcb3f324ee00f", "649681ee409ed2bf")


def test_an_override_of_the_same_value_is_no_change():
    assert profile("blue_8b", {}).hash == BLUE.hash
    same = {"base": {"base_max": 8}, "esof": {"splits": list(BLUE.esof.splits)}}  # as TOML has them
    assert profile("blue_8b", same).hash == BLUE.hash


def test_an_override_reaches_its_key_and_no_other():
    changed = profile("blue_8b", {"dc": {"boost": 1.15}})
    assert changed.dc.boost == 1.15
    assert changed.model_copy(update={"dc": BLUE.dc}) == BLUE


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"dc": {"boots": 1.1}}, "unknown key dc.boots; did you mean dc.boost?"),
        ({"dcc": {"boost": 1.1}}, "unknown key dcc; did you mean dc?"),
        ({"name": {}}, "unknown key name; known are base, dc, acb, ob, esof, fanin, select"),
        ({"dc": 1.1}, "dc must be a table, was 1.1"),
        ({"dc": {"boost": 0.9}}, "dc.boost must be at least 1, was 0.9"),
        ({"dc": {"boost": "1.1"}}, "dc.boost must be a valid number, was '1.1'"),
        ({"dc": {"boost": math.nan}}, "dc.boost must be a finite number, was nan"),
        ({"dc": {"boost": True}}, "dc.boost must be a valid number, was True"),
        ({"dc": {"enabled": 1}}, "dc.enabled must be a valid boolean, was 1"),
        ({"dc": {"kernel": "mine"}}, "dc.kernel must be package.module:factory, was 'mine'"),
        ({"base": {"thr": -0.05}}, "base.thr must be above extreme -0.05, was -0.05"),
        ({"base": {"base_max": 0.4}}, "base.base_max must be at least min_lev 0.5, was 0.4"),
        ({"base": {"convexity": 0.0}}, "base.convexity must be positive, was 0.0"),
        ({"acb": {"signals_from": -1.0}}, "acb.signals_from must be zero or positive, was -1.0"),
        ({"ob": {"imb_full": 0.08}}, "ob.imb_full must be above imb_from 0.08, was 0.08"),
        ({"ob": {"down": 1.1}}, "ob.down must be in 0..1, was 1.1"),
        ({"esof": {"application": "both"}}, "esof.application must be 'fan_in' or 'sc_post', was 'both'"),
        ({"esof": {"plateaus": [0.3, 0.65, 0.8, 0.9, 1.1]}}, "esof.plateaus.4 must be in 0..1, was 1.1"),
        ({"esof": {"edge": 0.06}}, "esof.splits must ascend by at least 2 * edge 0.06"),
        ({"esof": {"plateaus": [0.3, 0.2, 0.8, 0.9, 1.0]}}, "esof.plateaus must ascend, was (0.3, 0.2"),
        ({"esof": {"splits": [0.0]}}, "esof.splits.1: Field required, was (0.0,)"),
        ({"select": {"excluded": ["A"]}}, "select.excluded must be exactly 10 symbols, was ('A',)"),
    ],
)
def test_a_bad_key_or_value_is_refused_by_its_dotted_name(overrides, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 the message is compared below
        profile("blue_8b", overrides)
    assert str(refused.value).startswith(message)


def test_an_unknown_profile_is_refused_by_the_known_ones():
    with pytest.raises(ValueError, match="profile must be one of blue_8b, v3_base9, was 'blue'"):
        profile("blue", {})


def test_params_are_frozen_and_know_nothing_else():
    with pytest.raises(ValidationError):
        BLUE.dc.boost = 2.0
    with pytest.raises(ValidationError):
        DcParams(enabled=True, kernel=None, boost=1.1, extra=1)
    assert issubclass(Profile, Params)


def test_a_foreign_kernel_is_part_of_the_hash():
    wrapped = profile("blue_8b", {"acb": {"kernel": "blue.wrap:regime"}})
    assert wrapped.acb.kernel == "blue.wrap:regime"
    assert wrapped.hash != BLUE.hash


class Every(Params):
    """One field of each domain that ends at a number."""

    not_negative: NotNegative = 1.0
    share: Share = 0.5
    count: Count = 1
    span_ms: SpanMs = 1


@pytest.mark.parametrize("field", Every.model_fields)
def test_zero_is_in_every_domain_that_begins_there_and_nothing_below_it(field):
    zero = 0 if field in ("count", "span_ms") else 0.0
    assert getattr(Every(**{field: zero}), field) == 0
    with pytest.raises(ValidationError, match="must be"):
        Every(**{field: zero - 1})


def test_only_one_key_is_proposed_for_a_wrong_one():
    with pytest.raises(ValueError, match=r"did you mean acb\.beta_low\? known are"):
        profile("blue_8b", {"acb": {"beta_lo": 0.1}})
