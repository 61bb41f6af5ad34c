"""Pairs: exact by the scan that BLUE recorded, else the nearest, one to one; and what tells BLUE's clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.intake import STANDIN, forget
from journal.blue.pairing import _Found, _one_to_one, pair
from tests.journal.blue import agreed
from tests.strategies import START_MS, encode, scan
from tests.written import MINUTE_MS, begin

DAY_MS = 86_400_000
AT_MS = START_MS + 400 * DAY_MS  # other tests have trades of their own
WINDOW = (AT_MS, AT_MS + DAY_MS)


def said(scan_id, at_ms, symbol="BTCUSDT", **fields):
    ranks = {"prices": {symbol: 10.0}, "irp": {symbol: {"score": 0.4, "alignment": 0.6}}}
    return encode(scan(scan_id=scan_id, ts_ms=AT_MS + at_ms, **ranks, **fields))


@pytest.fixture(scope="module")
def run(store):
    """A scan a minute: BTC at 0 to 9, ETH at 10 to 12, then no signal; each vel_div is another."""
    written = begin(store)
    lines = [said(n, n * MINUTE_MS, vel_div=-0.03 - n / 1_000) for n in range(10)]
    lines += [said(n, n * MINUTE_MS, "ETHUSDT", vel_div=-0.03 - n / 1_000) for n in range(10, 13)]
    lines += [said(n, n * MINUTE_MS, vel_div=0.0) for n in range(13, 40)]
    written.append(lines)
    return written


@pytest.fixture
def paired(store, run):
    """paired(trade, ...) -> the pairing of trades given as fields; each at_ms is counted from the start."""
    brought = []

    def make(*rows, tolerance_ms=300_000, window=WINDOW):
        made = [
            {"trade_id": f"{STANDIN}-paired-{n}", "asset": "BTCUSDT", "leverage": 1.0} | row
            for n, row in enumerate(
                ({**row, "entry_ts_ms": AT_MS + row["at_ms"]} for row in rows), 1
            )
        ]  # fmt: skip
        brought.append(agreed.traded(store, *made, label=STANDIN))
        return pair(store, run.run_id, STANDIN, window, tolerance_ms)

    yield make
    for import_id in brought:
        forget(store, import_id, "the test is over")


def found(pairing):
    return {each.trade["trade_id"][-1]: (each.decision["scan_id"], each.by, each.gap_ms) for each in pairing.pairs}


def test_a_recorded_scan_is_paired_by_that_alone_however_far_its_clock_is(paired):
    pairing = paired({"scan_id": 3, "at_ms": 3 * MINUTE_MS}, {"scan_id": 5, "at_ms": 6 * MINUTE_MS})
    assert found(pairing) == {"1": (3, "id", 0), "2": (5, "id", -MINUTE_MS)}
    assert [each.candidates for each in pairing.pairs] == [1, 1]
    assert pairing.pairs[0].decision["vel_div"] == -0.033
    assert pairing.pairs[0].decision["reasons"]
    assert (pairing.scan_ms, pairing.ambiguous, pairing.offset_by, pairing.offset_n) == (MINUTE_MS, 0, "id", 2)
    assert pairing.offset_ms == MINUTE_MS


def test_without_a_scan_the_nearest_counts_and_the_earlier_of_two_as_near(paired):
    pairing = paired({"at_ms": 100}, {"at_ms": 4 * MINUTE_MS + MINUTE_MS // 2}, {"at_ms": 14 * MINUTE_MS})
    assert found(pairing) == {"1": (0, "nearest", -100), "2": (4, "nearest", -30_000), "3": (9, "nearest", -300_000)}
    assert (pairing.ambiguous, pairing.offset_ms, pairing.offset_by) == (1, None, "")
    assert pairing.sensitivity == {60_000: 2, 300_000: 3, 900_000: 3}
    assert [each.candidates for each in pairing.pairs] == [6, 10, 1]


def test_pairs_are_one_to_one_and_the_nearer_trade_goes_first(paired):
    pairing = paired({"at_ms": 20_000, "asset": "ETHUSDT"}, {"at_ms": 12 * MINUTE_MS + 1_000, "asset": "ETHUSDT"},
                     {"at_ms": 12 * MINUTE_MS, "asset": "ETHUSDT"})  # fmt: skip
    assert found(pairing) == {"2": (11, "nearest", -61_000), "3": (12, "nearest", 0)}
    assert [each["why"] for each in pairing.unpaired] == ["NO_DECISION_NEAR"]


def test_each_trade_without_a_decision_has_its_reason(paired):
    pairing = paired(
        {"at_ms": 0, "side": "LONG"}, {"at_ms": 0, "asset": "SOLUSDT"}, {"at_ms": 30 * MINUTE_MS},
        {"at_ms": 0, "scan_id": 999}, {"at_ms": 10 * MINUTE_MS, "scan_id": 10}, {"at_ms": 20 * MINUTE_MS, "scan_id": 20},
        {"at_ms": 2 * MINUTE_MS, "scan_id": 2}, {"at_ms": 2 * MINUTE_MS, "scan_id": 2}, {"at_ms": 2 * DAY_MS, "scan_id": 2},
    )  # fmt: skip
    assert [each["why"] for each in pairing.unpaired] == [
        "LONG", "ASSET_NEVER_DECIDED", "NO_SCAN", "TAKEN", "OTHER_ASSET", "NO_SIGNAL", "NO_DECISION_NEAR",
    ]  # fmt: skip
    assert found(pairing) == {"7": (2, "id", 0)}


def test_a_scan_id_of_another_day_is_another_scan(paired):
    pairing = paired({"at_ms": 2 * DAY_MS, "scan_id": 2}, window=(AT_MS, AT_MS + 3 * DAY_MS))
    assert [each["why"] for each in pairing.unpaired] == ["NO_SCAN"]


def test_without_scans_the_same_vel_div_tells_how_far_the_clock_is_off(paired):
    rows = [{"at_ms": n % 13 * MINUTE_MS + 90_000 + n, "vel_div": -0.03 - n % 13 / 1_000,
             "asset": "ETHUSDT" if n % 13 > 9 else "BTCUSDT"} for n in range(26)]  # fmt: skip
    pairing = paired(*rows)
    assert (pairing.offset_by, pairing.offset_n) == ("vel_div", 26)
    assert pairing.offset_ms == pytest.approx(90_000, abs=30)
    assert len(pairing.pairs) < 26  # two trades an instant: one decision each


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2),
                       st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1), st.integers(0, 20)), max_size=6)))  # fmt: skip
def test_pairs_are_one_to_one_stable_and_those_of_a_smaller_tolerance_are_among_them(candidates):
    near = {i: sorted((gap, later, "t", 0, at) for gap, later, at in of) for i, of in candidates.items()}
    trades = [{"trade_id": i, "entry_ts_ms": 0} for i in near]

    def chosen(limit):
        kept = {i: _Found(len(of), [each for each in of if each[0] <= limit], None) for i, of in near.items()}
        return _one_to_one(trades, kept, set())

    whole = chosen(9)
    assert len({place for _, place in whole.values()}) == len(whole)
    assert chosen(4) == {i: pair for i, pair in whole.items() if abs(pair[0]) <= 4}
    left = {i for i in near if near[i]} - whole.keys()
    taken = {place for _, place in whole.values()}
    assert all(tuple(place) in taken for i in left for _, _, *place in near[i])
