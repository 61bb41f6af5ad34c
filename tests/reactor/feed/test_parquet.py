"""Parquet: every type becomes what JSON has for it, row by row, in the file's order."""

import datetime as dt
import math
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from journal.refusal import Refusal
from reactor.feed import parquet
from reactor.log.container import opened

MS, US, NS = 1746372780123, 1746372780123456, 1746372780123456789
MINUTE = dt.datetime(2025, 5, 4, 15, 33, tzinfo=dt.UTC)


def written(tmp_path, array, **options):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": array}), path, **options)
    return path


def rows(path):
    with opened(path) as found:
        return list(parquet.rows(found))


def read(path):
    return [row["a"] for row in rows(path)]


def exactly(values):
    """Values with their types: 1 is not 1.0, and True is not 1."""
    return [repr(value) for value in values]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (pa.bool_(), [True, False, None], [True, False, None]),
        (pa.int8(), [-128, None], [-128, None]),
        (pa.uint32(), [2**32 - 1, None], [2**32 - 1, None]),
        (pa.int64(), [1746372780000000001, -(2**63), None], [1746372780000000001, -(2**63), None]),
        (pa.uint64(), [2**64 - 1, None], [2**64 - 1, None]),
        (pa.float64(), [0.1, 5e-324, 1e300, None], [0.1, 5e-324, 1e300, None]),
        (pa.float64(), [1.0, -0.0, -3e18, 2.0**60], [1, 0, -3000000000000000000, 1152921504606847000]),
        (pa.float64(), [math.nan, math.inf, -math.inf], [math.nan, math.inf, -math.inf]),
        (pa.float64(), [1e20, -1e19], [1e20, -1e19]),
        (pa.float32(), [0.1, 1.0, 16777216.0, 3.4e38, math.nan, None], [0.1, 1, 16777216, 3.4e38, math.nan, None]),
        (pa.float16(), [0.5, 2.0, None], [0.5, 2, None]),
        (pa.decimal128(10, 2), [Decimal("1.50"), Decimal("-2.00"), None], [1.5, -2, None]),
        (pa.decimal128(38, 9), [Decimal("12345678901234567890.123456789"), Decimal("0.000000001")], [1.2345678901234567e19, 1e-9]),
        (pa.decimal128(38, 0), [Decimal(2**64 - 1), Decimal(10**30)], [2**64 - 1, 1e30]),
        (pa.decimal256(50, 3), [Decimal("7.000"), None], [7, None]),
        (pa.string(), ['ü"\n/', "", None], ['ü"\n/', "", None]),
        (pa.large_string(), ["x", None], ["x", None]),
        (pa.binary(), [b"\xc3\xbc", None], ["ü", None]),
        (pa.binary(4), [b"ab\0\0", None], ["ab\0\0", None]),
        (pa.dictionary(pa.int32(), pa.string()), ["x", "y", "x", None], ["x", "y", "x", None]),
        (pa.date32(), [dt.date(2025, 5, 4), None], ["2025-05-04", None]),
        (pa.date64(), [dt.date(1970, 1, 1), None], ["1970-01-01", None]),
        (pa.timestamp("s", "UTC"), [1746372780, None], ["2025-05-04T15:33:00.000Z", None]),
        (pa.timestamp("ms", "UTC"), [MS, -1, None], ["2025-05-04T15:33:00.123Z", "1969-12-31T23:59:59.999Z", None]),
        (pa.timestamp("us", "Europe/Berlin"), [US, None], ["2025-05-04T15:33:00.123456Z", None]),
        (pa.timestamp("ns", "UTC"), [NS, None], ["2025-05-04T15:33:00.123456789Z", None]),
        (pa.timestamp("s"), [1746372780, None], ["2025-05-04 15:33:00.000", None]),
        (pa.timestamp("ms"), [MS, None], ["2025-05-04 15:33:00.123", None]),
        (pa.timestamp("us"), [US, None], ["2025-05-04 15:33:00.123456", None]),
        (pa.timestamp("ns"), [NS, None], ["2025-05-04 15:33:00.123456789", None]),
        (pa.time32("ms"), [dt.time(1, 2, 3), None], ["1970-01-01 01:02:03.000", None]),
        (pa.time64("us"), [dt.time(1, 2, 3, 4), None], ["1970-01-01 01:02:03.000004", None]),
        (pa.duration("ms"), [1500, None], [1500, None]),
        (pa.null(), [None, None], [None, None]),
        (pa.list_(pa.int64()), [[1, None], [], None], [[1, None], [], []]),
        (pa.list_(pa.float64()), [[0.5, math.nan, 2.0], None], [[0.5, math.nan, 2], []]),
        (pa.list_(pa.list_(pa.int64())), [[[1], []], [None], None], [[[1], []], [[]], []]),
        (pa.list_(pa.timestamp("ms", "UTC")), [[MS], [None]], [["2025-05-04T15:33:00.123Z"], [None]]),
        (pa.large_list(pa.int64()), [[1, 2], None], [[1, 2], []]),
        (pa.list_(pa.int64(), 2), [[1, 2], None, [3, 4]], [[1, 2], [], [3, 4]]),
        (pa.map_(pa.string(), pa.float64()), [[("a", 1.5), ("b", None)], [], None], [{"a": 1.5, "b": None}, {}, {}]),
        (pa.map_(pa.string(), pa.int32()), [[("a", 1), ("a", 2)]], [{"a": 2}]),
        (pa.map_(pa.int64(), pa.string()), [[(1, "x")]], [{"1": "x"}]),
        (
            pa.map_(pa.string(), pa.struct([("score", pa.float64())])),
            [[("BTC", {"score": 0.4})], [("ETH", None)]],
            [{"BTC": {"score": 0.4}}, {"ETH": {"score": None}}],
        ),
        (
            pa.struct([("x", pa.int64()), ("t", pa.timestamp("ms")), ("in", pa.struct([("f", pa.float32())]))]),
            [{"x": 1, "t": MS, "in": {"f": 0.1}}, {"x": None, "t": None, "in": None}, None],
            [
                {"x": 1, "t": "2025-05-04 15:33:00.123", "in": {"f": 0.1}},
                {"x": None, "t": None, "in": {"f": None}},
                {"x": None, "t": None, "in": {"f": None}},
            ],
        ),
        (pa.list_(pa.struct([("a", pa.int32())])), [[{"a": 1}], [None], None], [[{"a": 1}], [{"a": None}], []]),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_what_json_has_for_it(tmp_path, kind, given, expected):
    assert exactly(read(written(tmp_path, pa.array(given, kind)))) == exactly(expected)


def test_the_old_type_of_times_is_utc(tmp_path):
    path = written(tmp_path, pa.array([NS, None], pa.timestamp("ns")), use_deprecated_int96_timestamps=True)
    assert read(path) == ["2025-05-04T15:33:00.123456789Z", None]


def test_a_time_is_the_same_in_every_zone(tmp_path):
    for zone in ("UTC", "Asia/Tokyo"):
        array = pa.array([MINUTE.astimezone(ZoneInfo(zone))], pa.timestamp("ms", zone))
        assert read(written(tmp_path, array)) == ["2025-05-04T15:33:00.000Z"]


@pytest.mark.parametrize("write", [pq.write_table, feather.write_feather])
def test_what_is_no_text_and_a_day_beyond_calendars_cost_nothing(tmp_path, write):
    """A column that nothing reads is not judged; whoever reads it is told."""
    text = pa.StringArray.from_buffers(2, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff"))
    days = pa.array([10**9, -1], pa.date32())
    write(pa.table({"bytes": [b"\xff\xfe", None], "text": text, "day": days}), tmp_path / "x")
    assert list(rows(tmp_path / "x")) == [
        {"bytes": "\udcff\udcfe", "text": "a", "day": "2739877-01-03"},
        {"bytes": None, "text": "\udcff", "day": "1969-12-31"},
    ]


@pytest.mark.parametrize("batch", [1, 3, 4_096])
def test_batches_and_row_groups_never_show(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", batch)
    given = [[{"k": n, "l": [n, None]}] * (n % 4) for n in range(50)]
    array = pa.array(given, pa.list_(pa.struct([("k", pa.int64()), ("l", pa.list_(pa.int64()))])))
    assert read(written(tmp_path, array, row_group_size=7)) == given


def test_names_are_as_they_are(tmp_path):
    path = tmp_path / "x.parquet"
    names = ["x`y", "a b", "c.d", "ü"]
    pq.write_table(pa.table([pa.array([n]) for n in range(4)], names=names), path)
    assert rows(path) == [dict(zip(names, range(4), strict=True))]


def test_what_is_no_whole_file_is_refused(tmp_path):
    whole = written(tmp_path, pa.array(range(10))).read_bytes()
    path = tmp_path / "y.parquet"
    for content, rule in (
        (whole[: len(whole) // 2], "half written"),
        (whole[:8] + whole[-8:], "must be readable"),
        (whole[:4] + b"\xff" * (len(whole) - 12) + whole[-8:], "must be readable"),
    ):
        path.write_bytes(content)
        with pytest.raises(Refusal, match=rule) as refusal:
            rows(path)
        assert "fix: " in str(refusal.value)


@pytest.mark.parametrize("name", ["bbo_book_ticker_binance_20240808", "funding_8h_binance_2025"])
def test_recorded_files_read_as_the_engine_reads_them(blocks, data, name):
    path = data / f"{name}.parquet"
    options = "max_threads = 1, input_format_parquet_preserve_order = 1"
    found = rows(path)
    at = 0
    for block in blocks(f"SELECT * FROM file('{path}', Parquet) SETTINGS {options}"):
        numbers = [name for name, values in block.items() if isinstance(values[0], int | float)]
        for row in zip(*(block[name] for name in numbers), strict=True):
            assert [found[at][name] for name in numbers] == list(row)
            at += 1
    assert at == len(found)
