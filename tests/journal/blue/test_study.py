"""Studies: against what plain Python makes of the same rows, and the figures of the findings."""

from statistics import median

import pytest

from journal.blue.intake import STANDIN, Intake, bring, forget, trade
from journal.blue.study import STUDIES, rows
from tests.strategies import START_MS, encode, plane, scan
from tests.written import MINUTE_MS, begin

SIZES = [0.1, 0.5, 1.0, 1.6, 1.8]


@pytest.fixture(scope="module")
def beside(store):
    """A run of 24 decisions with planes that move, and a stand-in's trade at every second one."""
    run = begin(store)
    lines = [encode(plane("acb", {"boost": 1.35})), encode(plane("ob", {"mult": 0.9}))]
    for n in range(24):
        at = START_MS + n * MINUTE_MS
        lines.append(encode(plane("esof", {"mult": (1.0, 0.65, 0.3)[n % 3]}, ts_ms=at)))
        lines.append(
            encode(scan(scan_id=n, ts_ms=at, vel_div=-0.021 - 0.002 * n, dc_status=("CONFIRM", "NEUTRAL")[n % 2]))
        )
    run.append(lines)
    made = store.rows("SELECT * FROM decisions WHERE run_id = {run:String} ORDER BY scan_id", {"run": run.run_id})
    trades = [
        {"trade_id": f"{STANDIN}-study-{n}", "asset": row["asset"], "entry_ts_ms": row["ts_ms"],
         "leverage": round(row["base"] * (0.9 + n % 7 / 20), 6), "pnl": float(n % 5 - 2), "capital_before": 1000.0,
         "notional_usd": 1000.0 * SIZES[n % 5]}
        for n, row in enumerate(made[::2])
    ]  # fmt: skip
    given = [trade(n, each, b"{}") for n, each in enumerate(trades, 1)]
    brought = bring(store, Intake(label=STANDIN, source="", mapping="", clock_offset_ms=0, trades=given, legs=()))
    yield run.run_id, made, trades
    forget(store, brought.import_id, "test")


def test_every_row_of_every_study_names_its_population_and_filter(store, beside):
    for name in STUDIES:
        found = rows(store, name, beside[0], STANDIN)
        assert found, name
        assert all(row["population"] and row["filter"] for row in found), name


def test_margin_of_decisions_and_of_trades(store, beside):
    run_id, made, trades = beside
    found = {(row["label"], row["policy"]): row for row in rows(store, "margin", run_id, STANDIN)}
    assert len(found) == 16
    ways = {
        "flat 2": lambda _: 2, "linear to 3": lambda c: linear(c, 3), "linear to 20": lambda c: linear(c, 20),
        "cubic to 3": lambda c: round(1 + ((min(9, max(0.5, c)) - 0.5) / 8.5) ** 3 * 2),
    }  # fmt: skip
    for label, sized in (
        ("", [(row["notional_fraction"], row["leverage_fanin"]) for row in made]),
        (STANDIN, [(each["notional_usd"] / 1000, each["leverage"]) for each in trades]),
    ):
        for policy, way in ways.items():
            row, used = found[label, policy], [size / way(conviction) for size, conviction in sized]
            assert (row["n"], row["fits"]) == (len(sized), sum(each <= 1 for each in used))
            assert row["used_median"] == pytest.approx(median(used))
            assert row["used_max"] == pytest.approx(max(used))
            assert row["exchange_median"] == median([way(conviction) for _, conviction in sized])
    assert found[STANDIN, "flat 2"]["share"] == 1.0
    assert found[STANDIN, "flat 2"]["used_max"] == 0.9


def linear(conviction, cap):
    return round(1 + (min(9.0, max(0.5, conviction)) - 0.5) / 8.5 * (cap - 1))


def test_the_exchange_s_leverage_is_rounded_half_to_even(store):
    asked = [0.5, 1.315, 2.625, 4.75, 6.875, 8.0, 9.0, 12.0, 0.1]
    text = (
        "SELECT roundBankers(1 + (least(9., greatest(0.5, c)) - 0.5) / 8.5 * (3 - 1)) AS x "
        "FROM (SELECT arrayJoin({c:Array(Float64)}) AS c)"
    )
    assert [row["x"] for row in store.rows(text, {"c": asked})] == [1, 1, 2, 2, 2, 3, 3, 3, 1]
    assert [linear(c, 3) for c in asked] == [1, 1, 2, 2, 2, 3, 3, 3, 1]


def test_edge_is_of_the_trades_beside_decisions(store, beside):
    run_id, made, trades = beside
    found = {(row["dimension"], row["value"]): row for row in rows(store, "edge", run_id, STANDIN)}
    assert {dimension for dimension, _ in found} == {"all", "strength", "acb", "ob", "esof", "dc_status", "bound"}
    everything = found["all", "all"]
    wins = sum(each["pnl"] > 0 for each in trades)
    assert (everything["n"], everything["wins"]) == (len(trades), wins)
    assert everything["pnl_usd"] == pytest.approx(sum(each["pnl"] for each in trades))
    assert everything["win_low"] < everything["win_rate"] < everything["win_high"]
    for dimension in ("strength", "acb", "ob", "esof", "dc_status", "bound"):
        assert sum(row["n"] for (of, _), row in found.items() if of == dimension) == len(trades)
    beside_each = made[::2]
    assert found["esof", "below 1"]["n"] == sum(row["esof"] < 1 for row in beside_each)
    assert found["acb", "above 1"]["n"] == len(trades)
    saturated = [each["pnl"] for each, row in zip(trades, beside_each, strict=True) if row["strength"] == 1.0]
    assert found["strength", "saturated"]["pnl_usd"] == pytest.approx(sum(saturated))


def test_tail_says_which_lane_was_above_1(store, beside):
    run_id, made, trades = beside
    found = {(row["label"], row["vel_div"]): row for row in rows(store, "tail", run_id, STANDIN)}
    ratios = [row["leverage"] / row["base"] for row in made]
    above = [row for row in made if row["leverage"] / row["base"] > 1.05]
    everything = found["", "all"]
    assert (everything["n"], everything["above"]) == (24, len(above))
    assert everything["ratio_median"] == pytest.approx(median(ratios))
    assert (everything["of_acb"], everything["of_ob"]) == (len(above), 0)
    assert everything["of_dc"] == sum(row["dc"] > 1 for row in above)
    recorded = [each["leverage"] / row["base"] for each, row in zip(trades, made[::2], strict=True)]
    assert found[STANDIN, "all"]["above"] == sum(ratio > 1.05 for ratio in recorded)


def test_the_haircut_is_told_from_free_room(store, beside):
    run_id, made, _ = beside
    found = {(row["label"], row["fraction"]): row for row in rows(store, "fraction", run_id, STANDIN)}
    now = found["", 0.2]
    assert now["used_median"] == pytest.approx(median([0.2 * row["leverage"] / 3 for row in made]))
    bare = [
        max(0.5, min(row["base"] * row["dc"] * row["acb"] * row["ob"], 8.0 * row["acb"] * row["ob"], 9.0))
        for row in made
    ]
    assert now["used_median_unhaircut"] == pytest.approx(median([0.2 * each / 3 for each in bare]))
    assert now["used_median"] < now["used_median_unhaircut"]
    assert found[STANDIN, 0.2]["used_median_unhaircut"] is None
    assert all("no free room" in row["caveat"] for row in found.values())


def test_figures_of_the_findings_come_out_again(store):
    curve = {row["boost"]: row for row in rows(store, "curve", "")}
    assert round(curve[1.155]["pearson"], 4) == 0.9998
    assert curve[1.155]["max_abs_err"] == pytest.approx(0.2355, abs=1e-4)
    assert curve[1.1555]["max_abs_err"] == pytest.approx(0.238, abs=2e-3)
    assert curve[1.0]["max_abs_err"] == 1.0
    assert curve[1.125]["max_abs_err"] == pytest.approx(0.0625)
    found = {row["what"]: row["figure"] for row in rows(store, "findings", "")}
    assert found == pytest.approx({
        "Pearson of 8 x 1.155 capped at 9, against the 9-curve": curve[1.155]["pearson"],
        "largest error of the same": curve[1.155]["max_abs_err"], "largest notional, of capital: 0.2 x 9": 1.8,
        "wallet used by a notional of 1.81 at exchange leverage 2": 0.905,
        "profit a trade below BTC's average, against above": 2.25396825, "ZEC halt, of the raw loss": 0.85174311,
        "bad rows, 0 of 4,878: at most": 0.0007868872541432565,
        "co-located trades, 69 of 69: at least": 0.9472627418109483,
        "equal candidates, 30 of 30: at least": 0.8864866068260312,
    }, rel=1e-8)  # fmt: skip
