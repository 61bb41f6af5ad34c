"""Intake: a trade's fields, each content once, and an id that stands for one trade alone."""

import math

import pytest

from journal.blue.intake import REAL, STANDIN, TRADE, Intake, bring, forget, label_of, leg, trade
from journal.blue.look import cleaned
from journal.refusal import Refusal

AT = 1_746_372_780_000
ROW = {"trade_id": "t1", "asset": "BTCUSDT", "entry_ts_ms": AT}


def made(**fields):
    return trade(1, ROW | fields, b"{}")


def test_what_a_row_lacks_has_a_default_or_is_null():
    fields = made().fields
    assert list(fields) == list(TRADE)
    assert (fields["side"], fields["scan_stream"], fields["exit_reason"]) == ("SHORT", "", "")
    assert fields["pnl"] is fields["exit_ts_ms"] is fields["bars_held"] is None
    assert made(leverage="2.5", pnl=-0.0).fields["leverage"] == 2.5
    assert made(side="LONG").fields["side"] == "LONG"


def test_the_clock_s_offset_is_taken_off_every_time():
    moved = trade(1, ROW | {"exit_ts_ms": AT + 5}, b"", clock_offset_ms=3_600_000).fields
    assert (moved["entry_ts_ms"], moved["exit_ts_ms"]) == (AT - 3_600_000, AT + 5 - 3_600_000)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"trade_id": ""}, "trade_id must not be empty"), ({"asset": None}, "asset must be there"),
        ({"asset": "BTC/USDT"}, "asset must be a symbol such as BTCUSDT, was 'BTC/USDT'"), ({"asset": "A" * 33}, "asset must be"),
        ({"side": "short"}, "side must be SHORT or LONG, was 'short'"), ({"leverage": 0.0}, "leverage must be above 0, was 0.0"),
        ({"leverage": -1}, "leverage must be above 0"),
        ({"capital_before": 0.0}, "capital_before must be at least 1e-06 USD, was 0.0; fix: leave it empty"),
        ({"leverage": 1e308}, "leverage must be at most 10.18 in size, was 1e"), ({"pnl": math.nan}, "pnl must be finite, was nan"),
        ({"entry_price": "inf"}, "entry_price must be finite"), ({"entry_ts_ms": 1_230_767_999_999}, "between 2009 and 2100"),
        ({"exit_ts_ms": 4_102_444_800_000}, "exit_ts_ms must be UTC milliseconds between 2009 and 2100"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(fields, words):
    with pytest.raises(ValueError, match=words):
        made(**fields)
    made(leverage=5e-324, entry_ts_ms=1_230_768_000_000, exit_ts_ms=4_102_444_799_999, asset="A" * 32)


def test_a_hash_is_of_the_content_and_not_of_its_place_or_form():
    one = made(pnl=1.5)
    assert trade(7, ROW | {"pnl": "1.5", "other": 3}, b"csv").hash == one.hash
    assert made(pnl=1.25).hash != one.hash != made(pnl=1.5, trade_id="t2").hash
    assert leg(1, {"trade_id": "t1", "exit_ts_ms": AT}, b"").fields["leg"] is None


def test_a_row_without_what_blue_recorded_keeps_the_hash_that_it_had_before_those_fields():
    assert made(pnl=1.5, leverage=2.0).hash == "c5c3aa7f4373e4e3632b436ed37d60d6"
    one = made(pnl=1.5, leverage=2.0, scan_id=1)
    assert one.hash not in (made(pnl=1.5, leverage=2.0).hash, made(pnl=1.5, leverage=2.0, scan_id=2).hash)


def test_labels_are_told_by_ids_and_never_mixed():
    real, standin = made(), made(trade_id=f"{STANDIN}-1")
    assert [label_of(rows) for rows in ([real], [standin, standin], [])] == [REAL, STANDIN, REAL]
    with pytest.raises(Refusal, match="must not be in one import; fix: import them apart"):
        label_of([real, standin])


def intake(trades, legs=()):
    return Intake(label=STANDIN, source="s", mapping="m", clock_offset_ms=0, trades=trades, legs=list(legs))


def test_each_content_comes_in_once_and_a_second_time_is_nothing(store):
    prefix = f"{STANDIN}-intake"
    rows = [trade(n, ROW | {"trade_id": f"{prefix}-{n}", "pnl": 1.0}, b"{}") for n in (1, 2)]
    legs = [leg(1, {"trade_id": f"{prefix}-1", "exit_ts_ms": AT}, b"{}")]
    first = bring(store, intake(rows, legs))
    try:
        assert (first.trades_read, first.trades_new, first.trades_there, first.legs_new) == (2, 2, 0, 1)
        again = bring(store, intake(rows, legs))
        assert (again.import_id, again.trades_new, again.trades_there, again.legs_there) == ("", 0, 2, 1)
        exit_ = [trade(3, ROW | {"trade_id": f"{prefix}-1", "pnl": 2.0}, b"{}")]  # the same entry, another exit
        second = bring(store, intake([*rows, *exit_]))
        assert (second.trades_new, second.trades_there) == (1, 2)
        other = [trade(4, ROW | {"trade_id": f"{prefix}-1", "asset": "ETHUSDT"}, b"{}")]
        with pytest.raises(
            Refusal,
            match=f"trade_id '{prefix}-1' is used for two trades: asset is 'ETHUSDT' in row 4, was 'BTCUSDT' in the journal",
        ):
            bring(store, intake(other))
        with pytest.raises(Refusal, match="was 'ETHUSDT' in row 4"):
            bring(
                store,
                intake(
                    [
                        trade(4, ROW | {"trade_id": f"{prefix}-9", "asset": "ETHUSDT"}, b""),
                        trade(5, ROW | {"trade_id": f"{prefix}-9"}, b""),
                    ]
                ),
            )
        forget(store, second.import_id, "a test")
        assert bring(store, intake([*rows, *exit_])).import_id == second.import_id  # it counts again
    finally:
        for import_id in (first.import_id, second.import_id):
            forget(store, import_id, "the test is over")
    with pytest.raises(Refusal, match=f"no import '{first.import_id}'; fix: name one of: "):
        forget(store, first.import_id, "again")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_entry_exit_and_legs_of_a_trade_meet_in_whatever_order_they_come(store, order):
    label = f"{STANDIN}-order-{''.join(map(str, order))}"
    entry, exit_ = ROW | {"trade_id": label}, {"exit_ts_ms": AT + 60_000, "pnl": 2.0}
    parts = [
        intake([trade(1, entry, b"{}")]), intake([trade(1, entry | exit_, b"{}")]),
        intake([], [leg(1, {"trade_id": label, "exit_ts_ms": AT + 30_000}, b"{}")]),
    ]  # fmt: skip
    brought = []
    try:
        for place in order:
            brought.append(bring(store, parts[place]).import_id)
            seen = cleaned(store, STANDIN)["notes"].get("LEG_WITHOUT_TRADE", 0)
            assert seen == (order[0] == 2 and len(brought) == 1)
        (row,) = store.rows("SELECT pnl, legs FROM blue_trades WHERE trade_id = {t:String}", {"t": label})
        assert (row["pnl"], row["legs"]) == (2.0, 1)
        (gone,) = store.rows("SELECT reason FROM blue_dropped WHERE trade_id = {t:String}", {"t": label})
        assert gone["reason"] == "DUPLICATE_OTHER_EXIT"
    finally:
        for import_id in brought:
            forget(store, import_id, "the test is over")


@pytest.mark.parametrize("look", [1, 2])
def test_an_import_that_another_one_overtook_counts_not_at_all(store, look):
    """Before its manifest is written, or, where it was stopped in between, behind it."""
    looks, label = [], f"overtaken-{look}"

    def require():
        looks.append(1)
        if len(looks) == look:
            raise Refusal("taken over")

    rows = [trade(1, ROW | {"trade_id": label}, b"{}")]
    with pytest.raises(Refusal, match="taken over"):
        bring(store, intake(rows), require)
    there = "SELECT count() FROM blue_cleaning WHERE trade_id = {t:String}"
    assert store.count(there, {"t": label}) == 0
    brought = bring(store, intake(rows))
    assert store.count(there, {"t": label}) == 1
    forget(store, brought.import_id, "the test is over")


def test_what_blue_recorded_is_kept_and_the_row_with_more_of_it_stays(store):
    row = ROW | {"trade_id": f"{STANDIN}-recorded", "leverage": 1.5}
    planes = {"ob": {"value": {"mult": 1.1}, "ts_ms": AT}}
    more = row | {"scan_id": 17, "base": 1.5, "planes": planes, "version": "v1", "marks": ["ADL"]}
    brought = bring(store, intake([trade(1, row, b""), trade(2, more, b"")]))
    try:
        (kept,) = store.rows("SELECT * FROM blue_trades WHERE trade_id = {t:String}", {"t": row["trade_id"]})
        assert (kept["row_number"], kept["scan_id"], kept["lanes"], kept["version"]) == (2, 17, {"base": 1.5}, "v1")
        assert (kept["planes"], kept["marks"]) == (f'{{"ob":{{"ts_ms":{AT},"value":{{"mult":1.1}}}}}}', ["ADL"])
    finally:
        forget(store, brought.import_id, "the test is over")
