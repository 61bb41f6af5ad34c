"""What of a comparison is judged: that which lies above the noise floor, and nothing else."""

from types import SimpleNamespace

import pytest

from journal.blue.attribution import Attribution
from journal.blue.classes import Class, Kind
from journal.blue.pairing import Pair, Pairing
from journal.blue.slot import Slots
from journal.blue.verdict import Difference, measures, verdict

CONTRACT = SimpleNamespace(
    alpha=0.05, allowed=(), margins=SimpleNamespace(leverage=1.0, notional=0.2),
    params=SimpleNamespace(values={
        "base": {"min_lev": 0.5}, "fanin": {"abs_max": 9.0, "fraction": 0.2}, "esof": {"application": "fan_in"},
    }),
)  # fmt: skip
N = 200


def pair(n, gap):
    trade = {"trade_id": f"t{n:03d}", "asset": "BTCUSDT", "entry_ts_ms": 1_746_372_780_000 + n, "leverage": 2.0 + gap}
    sized = {"leverage": 2.0, "notional_fraction": 0.4}
    return Pair(
        trade={**trade, "notional_fraction": 0.2 * (2.0 + gap)}, decision=sized, by="id", gap_ms=0, candidates=1
    )


def told(some):
    """Measures by name of N pairs, of which these differ: place -> kind and the plane whose delay explains it."""
    pairs = [pair(n, 0.5 if n in some else 0.0) for n in range(N)]
    differences = {
        f"t{n:03d}": Difference(Class(kind, ("ob",)), Attribution("ATTRIBUTED", {}, {}, None), delayed)
        for n, (kind, delayed) in some.items()
    }
    nothing = {"unpaired": [], "ambiguous": 0, "scan_ms": 60_000, "sensitivity": {}, "offset_ms": 0}
    slots = dict.fromkeys(Slots.__dataclass_fields__, 0) | {"missed": []}
    found = measures(CONTRACT, Pairing(pairs=pairs, offset_by="id", offset_n=N, **nothing), Slots(**slots), differences)
    return verdict(found), {each.name: each for each in found}


def test_what_one_scan_s_delay_explains_is_shown_and_not_judged():
    said, found = told({3: (Kind.MARKET_DATA, "ob"), 5: (Kind.STATE_INITIALISATION, "all"), 7: (Kind.LOGIC, "ob")})
    assert said == "PASS"
    leverage, states = found["leverage"], found["state_machine"]
    assert (leverage.figure, leverage.above) == (pytest.approx(1.5 / N), 0.0)
    assert leverage.high == told({})[1]["leverage"].high
    assert (states.verdict, states.figure, states.above) == ("PASS", 3, 0)


def test_what_lies_above_the_noise_floor_is_judged_alone():
    said, found = told({3: (Kind.MARKET_DATA, "ob"), 5: (Kind.MARKET_DATA, "")})
    assert (said, found["state_machine"].figure, found["state_machine"].above) == ("FAIL", 2, 1)
    assert (found["leverage"].figure, found["leverage"].above) == (pytest.approx(1.0 / N), pytest.approx(0.5 / N))
    assert told({5: (Kind.UNATTRIBUTABLE, "")})[0] == "HOLD"
    assert told({5: (Kind.UNATTRIBUTABLE, "ob")})[0] == "PASS"


def test_a_difference_without_a_known_cause_fails_whatever_a_delay_explains():
    assert told({5: (Kind.UNCLASSIFIED, "ob")})[0] == "FAIL"
