"""Clauses: each is broken by its own fault in one small run, and by no other; what no breach touches is found exactly."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue import anchor, clause
from journal.blue.clause import Judge, longest
from journal.blue.contract import Floors, Pairing, Window
from journal.blue.pairing import pair
from journal.blue.slot import slots
from journal.ledger.run import open_segments, segments
from lanes.fingerprint import math_fingerprint
from tests.journal.blue.agreed import agreed, at, changed, minutes, sized, soaked, traded, window
from tests.strategies import encode, planes
from tests.written import decisions

ORIGIN = 1_400_000_000_000
JUDGE = Judge(wheel="wheel", math_fingerprint=math_fingerprint())


@pytest.fixture(scope="module")
def known(store):
    """A run of 40 minutes with a trade every fourth, as it sized them."""
    first = minutes()
    written = soaked(store, first, 40)
    traded(store, *map(sized, range(first, first + 40, 4)))
    return first, written


def judged(store, contract, run, judge=JUDGE):
    """Every clause of a comparison by its name."""
    trades = anchor.trades(store, contract.blue.label, contract.window)
    scans = clause.scans_of(store, contract, run.run_id)
    found, _ = clause.of_sides(store, contract, run, scans, trades, judge)
    ends = contract.window.from_ms, contract.window.to_ms
    paired = pair(store, contract.run_id, contract.blue.label, ends, contract.pairing.tolerance_ms)
    held = slots(store, contract.run_id, contract.blue.label, ends, len(paired.pairs))
    found += clause.of_pairs(contract, paired, held, clause.buckets(store))
    return {each.name: each for each in found}


def broken(store, contract, run, judge=JUDGE):
    return {name: each for name, each in judged(store, contract, run, judge).items() if not each.holds}


def test_where_both_sides_are_as_agreed_every_clause_holds(store, known):
    _, written = known
    contract = agreed(store, written)
    assert broken(store, contract, written.run) == {}


@pytest.mark.parametrize(
    ("table", "field", "value", "names"),
    [
        (None, "math_fingerprint", "m0", {"math_fingerprint", "judge.math_fingerprint"}),
        ("code", "code_hash", "0ld", {"code"}), ("code", "wheel", "0ld", {"judge.wheel"}), ("params", "hash", "0ld", {"params"}),
        (None, "kernels", {"ob": "k"}, {"kernels"}), (None, "universe", ("ETHUSDT",), {"universe"}),
        ("log", "identity", {"kind": "archive"}, {"log"}), ("log", "partitions", 2, {"log.partitions"}), ("log", "chain", "0", {"log.chain"}),
        ("log", "ranges", (), {"log.ranges", "log.chain"}), ("runtime", "warm", "COLD", {"runtime"}), ("blue", "imports", (), {"blue.imports"}),
        ("floors", "pairs", 11, {"pairs"}),
    ],
)  # fmt: skip
def test_a_field_of_the_contract_that_is_another_breaks_its_clause_alone(store, known, table, field, value, names):
    _, written = known
    contract = agreed(store, written)
    part = (
        {field: value}
        if table is None
        else {table: msgspec.structs.replace(getattr(contract, table), **{field: value})}
    )
    other = changed(contract, **part)
    found = broken(store, other, written.run)
    assert found.keys() == names
    assert all(each.agreed != each.ours for each in found.values())
    assert all(each.spans for each in found.values())


def test_another_run_than_the_contract_s_is_invalid(store, known):
    _, written = known
    each = broken(store, agreed(store, written), replace(written.run, run_id="another"))["run"]
    assert (each.agreed, each.ours) == (written.run_id, "another")


def test_a_trade_of_another_blue_breaks_the_window_at_its_entry_and_nowhere_else(store):
    first = minutes()
    written = soaked(store, first)
    names = ("version", "code_hash", "config_hash", "math_fingerprint")
    others = {5 + n: name for n, name in enumerate(names)}
    traded(store, *(sized(first + n, **({others[n]: "other"} if n in others else {})) for n in (2, *others, 11)))
    contract = agreed(store, written)
    found = broken(store, contract, written.run)
    assert found.keys() == {f"blue.{name}" for name in names}
    for n, name in others.items():
        each = found[f"blue.{name}"]
        assert (each.theirs, each.spans) == ("other", [(at(first + n), at(first + n) + 1)])
    valid = longest(contract.window, [span for each in found.values() for span in each.spans])
    assert (valid.from_ms, valid.to_ms) == (at(first + 8) + 1, at(first + 19) + 1)
    assert broken(store, agreed(store, written, valid), written.run) == {}


def test_another_segment_breaks_the_window_over_its_own_scans(store, known):
    first = minutes()
    written = soaked(store, first, 20)
    (opened,) = segments(store, written.run_id)
    open_segments(store, [replace(opened, segment=2, first_offset=100, code_hash="new", params_hash="other")])
    written.segment = 2
    written.append([*map(encode, planes(at(first + 20))), *decisions(10, first + 20)], after=100 - 34)
    traded(store, sized(first + 25))
    contract = agreed(store, written)
    found = broken(store, contract, written.run)
    assert found.keys() == {"code", "params"}
    each = found["code"]
    assert (each.agreed, each.ours, each.offsets) == ("new", "c0de", [(0, 7, 33)])
    assert each.spans == [(at(first), at(first + 19) + 1)]
    assert longest(contract.window, each.spans).from_ms == at(first + 19) + 1


def test_a_run_that_does_not_reach_the_window_s_ends_is_invalid_there_unless_it_goes_on(store, known):
    first, written = known
    wide = window(first - 60, first + 100)
    contract = agreed(store, written, wide)
    found = broken(store, contract, written.run)
    assert found.keys() == {"window"}
    assert found["window"].spans == [(at(first - 60), at(first)), (at(first + 39) + 1, at(first + 100))]
    going = replace(written.run, state="RUNNING")
    assert broken(store, contract, going)["window"].spans == [(at(first - 60), at(first))]
    near = window(first - 1, first + 41)  # within two scans of the ends
    assert "window" not in broken(store, agreed(store, written, near), written.run)


def test_scans_that_are_missing_break_the_window_where_they_are_missing(store):
    first = minutes()
    written = soaked(store, first, 20)
    written.append([*map(encode, planes(at(first + 20))), *decisions(20, first + 21)])
    written.append([*map(encode, planes(at(first + 45))), *decisions(20, first + 45)])
    traded(store, sized(first))
    contract = agreed(store, written)
    found = broken(store, contract, written.run)
    assert found.keys() == {"scans"}
    assert found["scans"].ours == 60 / 65
    assert found["scans"].spans == [(at(first + 19) + 1, at(first + 21)), (at(first + 40) + 1, at(first + 45))]
    some = changed(contract, floors=Floors(pairs=1, pair_rate=0.95, scans=0.9))
    assert broken(store, some, written.run) == {}


def test_a_trade_on_a_scan_that_was_never_journaled_or_outside_the_universe_is_invalid(store):
    first = minutes()
    written = soaked(store, first)
    traded(store, sized(first), sized(first + 4, scan_id=5), sized(first + 6, asset="ETHUSDT"))
    found = broken(store, agreed(store, written), written.run)
    assert found.keys() == {"blue.scans", "universe"}
    assert found["blue.scans"].spans == [(at(first + 4), at(first + 4) + 1)]
    assert (found["universe"].ours, found["universe"].theirs) == ([], ["ETHUSDT"])
    assert found["universe"].spans == [(at(first + 6), at(first + 6) + 1)]


def test_an_import_that_came_or_went_since_breaks_the_window_between_its_trades(store):
    first = minutes()
    written = soaked(store, first)
    traded(store, sized(first))
    contract = agreed(store, written)
    traded(store, sized(first + 7))
    found = broken(store, contract, written.run)
    assert found.keys() == {"blue.imports"}
    assert found["blue.imports"].spans == [(at(first + 7), at(first + 7) + 1)]


def test_a_clock_that_is_off_makes_the_whole_window_invalid(store):
    first = minutes()
    written = soaked(store, first)
    traded(store, *(sized(minute, entry_ts_ms=at(minute) + 90_000) for minute in range(first, first + 16, 4)))
    contract = agreed(store, written)
    found = broken(store, contract, written.run)
    assert found.keys() == {"blue.clock"}
    assert found["blue.clock"].theirs == 90_000
    assert longest(contract.window, found["blue.clock"].spans) is None
    wide = changed(contract, pairing=Pairing(tolerance_ms=300_000, clock_ms=90_000))
    assert broken(store, wide, written.run) == {}


def test_nothing_compared_is_invalid(store):
    first = minutes()
    written = soaked(store, first)
    found = broken(store, agreed(store, written), written.run)
    assert found.keys() == {"pairs"}
    assert (found["pairs"].ours, found["pairs"].theirs) == (0, 0)


def test_a_group_whose_trades_do_not_pair_is_invalid_before_any_figure(store):
    first = minutes()
    written = soaked(store, first, 30)
    lost = {"scan_id": None, "side": "LONG", "vel_div": -0.025}
    traded(store, *(sized(minute, **(lost if minute % 3 == 0 else {})) for minute in range(first, first + 30)))
    found = broken(store, agreed(store, written), written.run)
    assert found.keys() <= {"pair_rate.asset", "pair_rate.hour", "pair_rate.vel_div"}  # 20 of 30 may be a chance
    assert found["pair_rate.vel_div"].theirs == {"-0.02 to -0.03": "0 of 10"}
    assert len(found["pair_rate.vel_div"].spans) == 10


@given(st.lists(st.tuples(st.integers(-5, 45), st.integers(1, 12)), max_size=6))
def test_the_longest_valid_part_is_the_longest_of_all_parts(spans):
    spans = [(ORIGIN + first, ORIGIN + first + length) for first, length in spans]
    whole = Window(from_ms=ORIGIN, to_ms=ORIGIN + 40)
    free = [all(not first <= ms < end for first, end in spans) for ms in range(ORIGIN, ORIGIN + 40)]
    best, run = 0, 0
    for is_free in free:
        run = run + 1 if is_free else 0
        best = max(best, run)
    found = longest(whole, spans)
    assert (found.to_ms - found.from_ms if found else 0) == best
    if found:
        assert all(free[found.from_ms - ORIGIN : found.to_ms - ORIGIN])
