"""Bars: whole minutes in order whatever the files and their order, and a refusal for every file that cannot be right."""

import json
import zipfile
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.refusal import Refusal
from reactor.feed.bar_shape import OURS, PRESETS
from reactor.standin import bars
from reactor.standin.bars import Bars

T0 = 1_746_372_780_000
HEAD = "symbol,open_time_ms,open,high,low,close,volume"


def row(symbol, minute, close=2.0, step=60_000, **other):
    values = {"open": close, "high": close, "low": close, "close": close, "volume": 1.0} | other
    return ",".join(
        [symbol, str(other.get("open_time_ms", T0 + step * minute)), *(str(values[n]) for n in HEAD.split(",")[2:])]
    )


def written(path, rows):
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def plain(minutes):
    return [(m.ts_ms, m.symbols, *(a.tolist() for a in m[2:])) for m in minutes]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 6), st.sampled_from("ABCD")), st.floats(1e-9, 1e9), min_size=1),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 28), max_size=3),
    st.integers(1, 9),
)
def test_no_order_no_cut_into_files_and_no_run_shows_in_the_minutes(tmp_path_factory, prices, dice, cuts, run):
    folder = tmp_path_factory.mktemp("bars")
    rows = [row(symbol, minute, close) for (minute, symbol), close in prices.items()]
    dice.shuffle(rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    paths = [written(folder / f"{n}.csv", rows[a:b]) for n, (a, b) in enumerate(pairwise(edges))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bars, "RUN_ROWS", run)
        found = plain(Bars(paths, OURS))
    expected = {}
    for (minute, symbol), close in sorted(prices.items()):
        expected.setdefault(T0 + 60_000 * minute, []).append((symbol, close))
    assert found == [
        (ts, tuple(s for s, _ in held), *([c for _, c in held],) * 3, [1.0] * len(held))
        for ts, held in expected.items()
    ]


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        ({"open_time_ms": T0 + 1}, "b.csv line 3: open_time_ms must be a multiple of 1m, was 1746372780001 for B"),
        (
            {"open_time_ms": T0 * 1_000},
            "line 3: open_time_ms '1746372780000000' looks like microseconds, .*; fix: --unit ms,us",
        ),
        ({"open_time_ms": T0 // 1_000}, "looks like seconds, the times before it like milliseconds; fix: --unit ms,s"),
        ({"open_time_ms": ""}, "line 3: open_time_ms '' is empty; fix: repair"),
        ({"open_time_ms": 17}, "open_time_ms '17' is no time of 2009 to 2099"),
        ({"close": 0.0}, "close must be finite and above 0, was 0.0 for B at 2025-05-04T15:33:00Z"),
        ({"close": "nan"}, "close must be finite and above 0, was nan"),
        ({"low": -1.0}, "low must be finite and above 0, was -1.0"),
        ({"high": "inf"}, "high must be finite and above 0, was inf"),
        ({"high": 0.5}, "close <= high must hold, was 2.0"),
        ({"low": 2.5}, "low <= close must hold, was 2.0"),
        ({"volume": -1.0}, "volume must be finite and at least 0, was -1.0"),
        ({"volume": "NaN"}, "volume must be finite and at least 0, was NaN for B"),
        ({"volume": "1_5"}, "line 3: volume '1_5' is no number; fix: write numbers as 1500.25, or drop that row"),
        ({"volume": ""}, "line 3: volume '' is empty"),
        ({"close": "much"}, "high 'much' is no number"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_by_rule_place_and_value(tmp_path, other, rule):
    path = written(tmp_path / "b.csv", [row("A", 0), row("B", 0, **other)])
    with pytest.raises(Refusal, match=rule) as refusal:
        Bars([path], OURS)
    assert "fix:" in str(refusal.value)
    assert "b.csv" in str(refusal.value)


def test_a_symbol_that_cannot_be_one_is_refused(tmp_path):
    path = written(tmp_path / "b.csv", [row("A", 0), row("btc/usdt", 0)])
    with pytest.raises(Refusal, match=r"b.csv line 3: symbol must match .*, was 'btc/usdt'; fix: "):
        Bars([path], OURS)


@pytest.mark.parametrize("run", [1, 100])
def test_the_same_bar_twice_is_refused_and_both_places_are_named(tmp_path, monkeypatch, run):
    monkeypatch.setattr(bars, "RUN_ROWS", run)
    paths = [written(tmp_path / "a.csv", [row("A", 0), row("A", 1)]), written(tmp_path / "b.csv", [row("A", 1)])]
    with pytest.raises(
        Refusal,
        match=r"twice for A at .*15:34:00Z: .*a.csv line 3 and .*b.csv line 2; fix: drop one of them, or name the files of one step",
    ):
        list(Bars(paths, OURS))


@pytest.mark.parametrize(("step", "name"), [(300_000, "5m"), (180_000, "3m"), (3_600_000, "1h"), (30_000, "30s")])
def test_bars_of_another_step_are_refused_and_their_step_is_named(tmp_path, step, name):
    start = T0 // step * step
    path = written(tmp_path / "b.csv", [row("A", 0, open_time_ms=start + step * n) for n in range(9)])
    with pytest.raises(Refusal, match=f"b.csv: the bars of A are {name} apart, must be 1m; fix: .* --step {name}"):
        Bars([path], OURS)
    assert [m.ts_ms - start for m in Bars([path], OURS, step)] == [step * n for n in range(9)]


def test_a_step_that_no_scan_may_have_is_no_fix(tmp_path):
    month = 30 * 86_400_000
    path = written(tmp_path / "b.csv", [row("A", 0, open_time_ms=T0 + month * n) for n in range(9)])
    with pytest.raises(Refusal, match="A are 30d apart, must be 1m; fix: give bars of 1m$"):
        Bars([path], OURS)


def test_rows_that_all_are_passed_over_are_no_empty_file(tmp_path):
    head = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm\n"
    (tmp_path / "a.csv").write_text(head + f"BTC-USDT,1,3,1,2,5,10,10,{T0},true\n")
    with pytest.raises(
        Refusal, match=r"`where` passes over every row: .*a.csv line 2 has confirm 'true', not 1; fix: "
    ):
        Bars([tmp_path / "a.csv"], PRESETS["okx"])


def test_a_part_of_another_step_is_refused_and_gaps_are_not(tmp_path):
    minutes = [row("A", n) for n in range(60)]
    fives = [row("A", 60 + 5 * n) for n in range(22)]
    path = written(tmp_path / "a.csv", minutes + fives)
    with pytest.raises(Refusal, match=r"A are 5m apart, from .*a.csv line 62 on, must be 1m; fix: give bars of 1m"):
        Bars([path], OURS)
    gaps = [row("A", n * (n + 1) // 2 if n < 20 else 190 + 5 * (n - 19)) for n in range(38)]  # never 20 in a row
    assert (
        Bars([written(tmp_path / "b.csv", minutes[:1] + [row("A", n + 300) for n in range(90)] + gaps[1:])], OURS).rows
        == 128
    )


def test_one_symbol_of_another_step_is_refused_among_others(tmp_path):
    minutes = written(tmp_path / "a.csv", [row("A", n) for n in range(60)])
    fives = written(tmp_path / "b.csv", [row("B", n, step=300_000) for n in range(12)])
    with pytest.raises(Refusal, match=r"b.csv: the bars of B are 5m apart, must be 1m"):
        Bars([minutes, fives], OURS)
    with pytest.raises(Refusal, match=r"a.csv: the bars of A are 1m apart, must be 5m; fix: give bars of 5m"):
        Bars([minutes], OURS, 300_000)


def test_bars_with_holes_keep_their_step(tmp_path):
    path = written(tmp_path / "b.csv", [row("A", n) for n in (0, 1, 2, 7, 8, 9, 30, 31, 32, 33)])
    assert len(list(Bars([path], OURS))) == 10


def test_a_file_without_a_row_is_named_and_only_files_without_any_are_refused(tmp_path):
    none, some = written(tmp_path / "none.csv", []), written(tmp_path / "some.csv", [row("A", 0)])
    found = Bars([none, some], OURS)
    assert (found.empty, found.rows, found.first_ms, found.last_ms) == ([none], 1, T0, T0)
    with pytest.raises(Refusal, match=r"none.csv must hold at least one row, was empty; fix: "):
        Bars([none], OURS)


def rates(path, *rows):
    path.write_text("\n".join(["symbol,funding_time_ms,funding_rate", *rows]) + "\n")
    return path


def test_funding_rates_come_oldest_first(tmp_path):
    path = rates(tmp_path / "f.csv", f"B,{T0},0.1", f"A,{T0 - 1},-2e-4")
    assert bars.funding([str(path)]) == [(T0 - 1, "A", -2e-4), (T0, "B", 0.1)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (f"A,{T0 // 1000},0.1", "line 2: funding_time_ms .* looks like seconds"),
        (f"A,{T0},nan", "line 2: funding_rate must be finite, was nan for A"),
        (f"A,{T0},inf", "funding_rate must be finite"),
        (f"A,{T0},", "funding_rate '' is empty"),
        (f",{T0},0.1", "symbol must match"),
    ],
)
def test_a_funding_rate_that_cannot_be_right_is_refused(tmp_path, line, rule):
    with pytest.raises(Refusal, match=rule):
        bars.funding([str(rates(tmp_path / "f.csv", line))])


def test_funding_rates_of_binance_are_read_as_they_come(tmp_path):
    """Dumps of several pairs and months, of which only the name says the pair, and the answer of its API."""
    folder = tmp_path / "dumps"
    folder.mkdir()
    head = "calc_time,funding_interval_hours,last_funding_rate\n"
    for name, at, rate in (("ETHUSDT", 3, "-0.00010000"), ("BTCUSDT", 1, "0.00007317")):
        with zipfile.ZipFile(folder / f"{name}-fundingRate-2025-05.zip", "w") as packed:
            packed.writestr(f"{name}-fundingRate-2025-05.csv", f"{head}{T0 + at},8,{rate}\n")
    answer = tmp_path / "answer.json"
    answer.write_text(
        json.dumps([{"symbol": "SOLUSDT", "fundingTime": T0 + 2, "fundingRate": "0.00005", "markPrice": "1.5"}])
    )
    assert bars.funding([str(folder), str(answer)]) == [
        (T0 + 1, "BTCUSDT", 0.00007317), (T0 + 2, "SOLUSDT", 0.00005), (T0 + 3, "ETHUSDT", -0.0001),
    ]  # fmt: skip
    nameless = tmp_path / "rates.csv"
    nameless.write_text(f"{head}{T0},8,0.1\n")
    with pytest.raises(Refusal, match="missing: symbol"):
        bars.funding([str(nameless)])


def test_a_funding_file_without_a_rate_is_refused(tmp_path):
    with pytest.raises(Refusal, match="at least one row"):
        bars.funding([str(rates(tmp_path / "f.csv"))])
