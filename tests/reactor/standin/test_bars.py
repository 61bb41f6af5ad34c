"""Bars: whole minutes whatever the blocks, and a refusal for every file that cannot be right."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.refusal import Refusal
from reactor.standin import bars

T0 = 1_746_372_780_000


def block(rows):
    """A column block from (symbol, minute, close) rows; high and low around the close."""
    close = np.array([close for _, _, close in rows], dtype=np.float64)
    return {
        "symbol": [symbol for symbol, _, _ in rows],
        "open_time_ms": [T0 + 60_000 * minute for _, minute, _ in rows],
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": np.ones(len(rows)),
    }


def plain(minutes):
    return [(m.ts_ms, m.symbols, *(a.tolist() for a in m[2:])) for m in minutes]


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 6), st.sampled_from("ABCD")), min_size=1),
    st.lists(st.integers(0, 28), max_size=5),
)
def test_the_cut_into_blocks_never_shows_in_the_minutes(keys, cuts):
    rows = [(symbol, minute, 1.0 + n) for n, (minute, symbol) in enumerate(sorted(keys))]
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    cut = [block(rows[a:b]) for a, b in pairwise(edges)]
    assert plain(bars.from_blocks(cut)) == plain(bars.from_blocks([block(rows)]))
    assert sum(len(m.symbols) for m in bars.from_blocks(cut)) == len(rows)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("open_time_ms", T0 + 1, "on the minute"),
        ("open_time_ms", T0 // 1000 * 1000 * 1000, "UTC milliseconds"),
        ("open_time_ms", T0 // 1000, "UTC milliseconds"),
        ("close", 0.0, "above 0"),
        ("close", float("nan"), "above 0"),
        ("low", -1.0, "above 0"),
        ("high", float("inf"), "above 0"),
        ("high", 0.5, "low <= close <= high"),
        ("volume", -1.0, "volume"),
        ("volume", float("nan"), "volume"),
        ("symbol", "A", "one bar a symbol and minute"),
        ("symbol", "btc/usdt", "symbol must match"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_by_rule_and_place(column, value, rule):
    bad = block([("A", 0, 2.0), ("B", 0, 2.0)])
    bad[column] = [bad[column][0], value]
    with pytest.raises(Refusal, match=rule) as refusal:
        list(bars.from_blocks([bad]))
    assert "fix:" in str(refusal.value)


def test_rows_out_of_order_are_refused_across_blocks_too():
    with pytest.raises(Refusal, match="sorted"):
        list(bars.from_blocks([block([("A", 1, 1.0)]), block([("A", 0, 1.0)])]))
    with pytest.raises(Refusal, match="one bar"):
        list(bars.from_blocks([block([("A", 1, 1.0)]), block([("A", 1, 1.0)])]))


def test_files_that_cannot_be_right_are_refused_before_the_engine_sees_them(tmp_path):
    def never(sql):
        raise AssertionError(sql)

    def refused(name, content, match):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Refusal, match=match):
            bars.klines(path, never)

    refused("none.parquet", None, "not found")
    refused("empty.parquet", b"", "not Parquet")
    refused("half.parquet", b"PAR1 and then the disk was full", "half written")
    refused("other.parquet", b"symbol,close", "not Parquet")
    refused("empty.csv", b"", "empty")
    refused("a{b,c}.csv", b"symbol", "must not contain")
    with pytest.raises(Refusal, match="must be a file"):
        bars.klines(tmp_path, never)


def test_missing_columns_are_named_and_quotes_in_a_path_are_escaped(tmp_path):
    path = tmp_path / "it's \\ here.csv"
    path.write_text("symbol,close\nA,1\n")
    asked = []

    def blocks(sql):
        asked.append(sql)
        yield {"symbol": ["A"], "close": [1.0]}

    with pytest.raises(Refusal, match="missing: open_time_ms, open, high, low, volume; found: close, symbol"):
        bars.klines(path, blocks)
    assert "it\\'s \\\\ here.csv', CSVWithNames)" in asked[0]
    with pytest.raises(Refusal, match="at least one row"):
        bars.klines(path, lambda _: iter([{"symbol": []}]))


@pytest.mark.parametrize(("ts_ms", "rate"), [(T0 // 1000, 0.1), (T0, float("nan")), (T0, float("inf"))])
def test_a_funding_rate_that_cannot_be_right_is_refused(tmp_path, ts_ms, rate):
    path = tmp_path / "f.csv"
    path.write_text("x")
    rows = {"symbol": ["A"], "funding_time_ms": [ts_ms], "funding_rate": [rate]}
    with pytest.raises(Refusal, match="funding rate must be finite"):
        list(bars.funding(path, lambda _: iter([rows])))


def test_the_engine_reads_csv_sorted_and_turns_nothing_into_a_number(tmp_path, blocks):
    path = tmp_path / "it's k.csv"
    head = "symbol,open_time_ms,open,high,low,close,volume,extra\n"
    path.write_text(head + f"B,{T0},1,3,1,2,5,x\nA,{T0 + 60_000},1,3,1,2,5,x\nA,{T0},1,3,1,2.5,6,x\n")
    (first, second) = bars.klines(path, blocks)
    assert (first.symbols, first.close.tolist(), first.volume.tolist()) == (
        ("A", "B"),
        [2.5, 2.0],
        [6.0, 5.0],
    )
    assert (second.ts_ms, second.symbols) == (T0 + 60_000, ("A",))
    assert bars.minutes_in(path, blocks) == 2
    for close in ("", "much"):
        path.write_text(head + f"A,{T0},1,3,1,{close},5,x\n")
        with pytest.raises(Refusal, match="close, high and low"):
            list(bars.klines(path, blocks))
    path.write_text(head)
    with pytest.raises(Refusal, match="must be readable"):
        bars.klines(path, blocks)
    half = tmp_path / "half.parquet"
    half.write_bytes(b"PAR1 the middle was lost PAR1")
    with pytest.raises(Refusal, match="must be readable"):
        bars.klines(half, blocks)
