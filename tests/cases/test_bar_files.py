"""Cases: bars as exchanges and tools write them, from the file to the soak, with the prices and times to the last digit."""

import bz2
import gzip
import io
import json
import lzma
import math
import os
import threading
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest

from reactor.log.container import zstd
from tests.integration.soaking import violet

START = 1_746_835_200_000
COUNT = 54
CLOSE = [round(94_210.1 + 40 * math.sin(n / 3), 2) for n in range(COUNT)]
BARS = [(START + 60_000 * n, close, close + 3.5, close - 2.25, close, 1.5 + n % 4) for n, close in enumerate(CLOSE)]
OURS = "symbol,open_time_ms,open,high,low,close,volume"


def csv(path, head, rows, end="\n"):
    path.write_text(end.join([*head, *(",".join(map(str, row)) for row in rows), ""]), newline="")
    return path


def ours(path, bars=BARS, symbol="BTCUSDT"):
    return csv(path, [OURS], [(symbol, *bar) for bar in bars])


def frame(path, zone="UTC", unit="us"):
    """Bars as freqtrade's data handlers and pandas hold them."""
    ts, *values = zip(*BARS, strict=True)
    stamps = pa.array(ts, pa.timestamp("ms", zone)).cast(pa.timestamp(unit, zone))
    names = ("open", "high", "low", "close", "volume")
    table = pa.table({"date": stamps} | {name: list(column) for name, column in zip(names, values, strict=True)})
    (pf.write_feather if path.suffix == ".feather" else pq.write_table)(table, path)
    return path


def zipped(path, inside):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(inside, inside.name)
    return path


def binance(unit):
    return [(ts * unit, *bar, (ts + 60_000) * unit - 1, 9, 9, 9, 9, 0) for ts, *bar in BARS]


FUTURES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
OKX = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"
CDD = "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount"


def okx(name, vol, ccy):
    rows = [(name, *prices, vol(v), ccy(v), 9, ts, 1) for ts, *prices, v in BARS]
    return [*rows, (name, 1, 1, 1, 1, 1, 1, 9, START + 60_000 * COUNT, 0)]  # the minute that is not over yet


def cdd(seconds):
    def unix(n, ts):
        return ts // 1_000 if seconds or n % 2 else ts

    rows = [(unix(n, ts), "-", "BTC/USDT", *bar, 9, 9) for n, (ts, *bar) in enumerate(BARS)]
    return rows[::-1]


def rest(path):
    rows = [[str(x) for x in (*bar, 9, 9, 1)] for bar in reversed(BARS)]
    path.write_text(json.dumps({"code": "0", "msg": "", "data": rows}))
    return path


def ccxt(path):
    path.write_text(json.dumps(BARS))
    return path


def gz(path):
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


SHAPES = {
    "Binance spot of 2025, microseconds, a zip a month": (
        lambda at: zipped(at / "BTCUSDT-1m-2025-05.zip", csv(at / "BTCUSDT-1m-2025-05.csv", [], binance(1_000))), "binance-spot"),
    "Binance spot of 2024, milliseconds": (lambda at: csv(at / "BTCUSDT-1m-2024-12.csv", [], binance(1)), "binance-spot"),
    "Binance futures with a header": (lambda at: csv(at / "BTCUSDT-1m-2025-05-10.csv", [FUTURES], binance(1)), "binance-futures"),
    "Binance futures without one": (lambda at: csv(at / "BTCUSDT-1m-2021-05.csv", [], binance(1)), "binance-futures"),
    "Binance REST": (lambda at: _json(at / "BTCUSDT-1m.json", binance(1)), "binance-spot"),
    "ccxt fetchOHLCV": (lambda at: ccxt(at / "BTC_USDT-1m.json"), "ccxt"),
    "freqtrade feather": (lambda at: frame(at / "BTC_USDT-1m.feather"), "freqtrade"),
    "freqtrade futures feather": (lambda at: frame(at / "BTC_USDT_USDT-1m-futures.feather", unit="ns"), "freqtrade"),
    "freqtrade parquet": (lambda at: frame(at / "BTC_USDT-1m.parquet", unit="ms"), "freqtrade"),
    "freqtrade json": (lambda at: gz(ccxt(at / "BTC_USDT-1m.json")), "freqtrade"),
    "OKX spot": (lambda at: csv(at / "candles.csv", [OKX], okx("BTC-USDT", lambda v: v, lambda v: 9)), "okx"),
    "OKX swap": (lambda at: csv(at / "candles.csv", [OKX], okx("BTC-USDT-SWAP", lambda v: 9, lambda v: v)), "okx-swap"),
    "OKX REST, newest first": (lambda at: rest(at / "candles.json"), "okx", "--symbol", "BTCUSDT"),
    "Kraken": (lambda at: csv(at / "XBTUSDT_1.csv", [], [(ts // 1000, *b, 9) for ts, *b in BARS]), "kraken", "--symbol", "BTCUSDT"),
    "CryptoDataDownload, seconds": (
        lambda at: csv(at / "b.csv", ["https://www.CryptoDataDownload.com", CDD], cdd(True), "\r\n"), "cryptodatadownload"),
    "CryptoDataDownload, both units": (
        lambda at: csv(at / "b.csv", ["https://www.CryptoDataDownload.com", CDD.lower()], cdd(False)), "cryptodatadownload"),
}  # fmt: skip


def _json(path, rows):
    path.write_text(json.dumps([[ts, *map(str, row)] for ts, *row in rows]))
    return path


def scan(*arguments):
    """What `violet scan` says, and the scans that it wrote."""
    out = arguments[-1]
    said = violet("scan", *arguments[:-1], "--out", out, "--force")
    return said, [
        r for r in map(json.loads, out.read_text().splitlines()) if r["kind"] == "scan"
    ] if said.code == 0 else []


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The archive of the same bars in our own columns."""
    folder = tmp_path_factory.mktemp("reference")
    said, scans = scan("--klines", ours(folder / "b.csv"), folder / "s.jsonl")
    assert said.code == 0, said.err
    assert [(s["ts_ms"], s["prices"]) for s in scans] == [(t + 60_000, {"BTCUSDT": c}) for t, c, *_ in BARS[50:]]
    return folder / "s.jsonl"


@pytest.mark.parametrize("name", SHAPES)
def test_a_real_file_gives_the_archive_of_its_bars_in_one_command(reference, tmp_path, name):
    make, preset, *more = SHAPES[name]
    said, _ = scan("--klines", make(tmp_path), "--preset", preset, *more, tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()


def test_the_archive_of_real_files_is_soaked(journal, tmp_path):
    frame(tmp_path / "BTC_USDT-1m.feather")
    said, _ = scan("--klines", tmp_path, "--preset", "freqtrade", tmp_path / "s.jsonl")
    assert said.code == 0, said.err
    soaked = journal.soak(scans=tmp_path / "s.jsonl").summary
    assert (soaked["decisions"] + soaked["evaluations"], soaked["rejects"], soaked["coverage"]) == (COUNT - 50, 0, 1.0)
    assert "stand-in scanner" in soaked["verdict_basis"]


def test_without_a_preset_the_refusal_names_those_that_fit(tmp_path):
    for make, preset, *_ in SHAPES.values():
        said, _ = scan("--klines", make(tmp_path), tmp_path / "out.jsonl")
        assert (said.code, "Traceback" in said.err) == (3, False)
        if "REST" not in said.err and preset != "okx":
            assert f"--preset {preset}" in said.err or "is one JSON object" in said.err, said.err


# -- what a file is packed in, and how it is named ----------------------------------------------------------------------


def days(at):
    folder = at / "days"
    folder.mkdir()
    ours(folder / "1.csv", BARS[:30])
    packed = ours(folder / "2.csv", BARS[30:])
    (folder / "2.csv.xz").write_bytes(lzma.compress(packed.read_bytes()))
    packed.unlink()
    csv(folder / "3.csv", [OURS], [])  # a day without a bar
    (folder / "1.csv.CHECKSUM").write_text("e3b0")
    return folder


def packed(pack, name):
    def make(at):
        path = at / name
        path.write_bytes(pack(ours(at / "plain").read_bytes()))
        return path

    return make


PLACES = {
    "gzip": packed(gzip.compress, "bars.csv.gz"),
    "gzip named .csv": packed(gzip.compress, "bars.csv"),
    "zst": packed(zstd.compress, "bars.csv.zst"),
    "bzip2": packed(bz2.compress, "bars.csv.bz2"),
    "xz": packed(lzma.compress, "bars.xz"),
    "a CSV without an ending": packed(bytes, "bars"),
    ".CSV": packed(bytes, "BARS.CSV"),
    "a CSV named .parquet": packed(bytes, "bars.parquet"),
    "a byte order mark": packed(lambda body: b"\xef\xbb\xbf" + body, "bars.csv"),
    "a quote and a star in the name": packed(bytes, "it's a {bar}*.csv"),
    "a zip": lambda at: zipped(at / "bars.zip", ours(at / "bars.csv")),
    "a folder": days,
    "a pattern": lambda at: days(at) / "?.cs*[vz]",
}


@pytest.mark.parametrize("name", PLACES)
def test_bars_are_found_whatever_they_are_packed_in(reference, tmp_path, name):
    said, _ = scan("--klines", PLACES[name](tmp_path), tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()
    assert ("3.csv holds no row" in said.err) == (name in ("a folder", "a pattern"))


def test_several_places_are_one_set_of_bars_in_any_order(reference, tmp_path):
    one, two = ours(tmp_path / "1.csv", BARS[:20]), ours(tmp_path / "2.csv", BARS[:19:-1])
    said, _ = scan("--klines", two, "--klines", one, tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()


def test_a_pipe_is_read(reference, tmp_path):
    pipe, body = tmp_path / "pipe", gzip.compress(ours(tmp_path / "b.csv").read_bytes())
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(body,))
    writer.start()
    said, _ = scan("--klines", pipe, tmp_path / "out.jsonl")
    writer.join(10)
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()


# -- types are said by the column, never guessed ----------------------------------------------------------------------


@pytest.mark.parametrize("last", ["0.5", "1e-3", "12345678901234567890", "5E+2"])
def test_a_volume_that_is_another_number_after_25000_whole_ones_is_read(tmp_path, last):
    rows = [("DOGEUSDT", START + 60_000 * n, 1, 1, 1, 1, 7 if n < 25_000 else last) for n in range(25_001)]
    said, scans = scan("--klines", csv(tmp_path / "b.csv", [OURS], rows), tmp_path / "out.jsonl")
    assert (said.code, len(scans), scans[-1]["ts_ms"]) == (0, 24_951, START + 60_000 * 25_001)


@pytest.mark.parametrize("last", ["NaN", "", "null", "None", "-1", "inf", "1_000", "1,5", "0x10", "seven"])
def test_what_is_no_volume_is_named_by_its_line_however_late_it_comes(tmp_path, last):
    cell = f'"{last}"' if "," in last else last
    rows = [("DOGEUSDT", START + 60_000 * n, 1, 1, 1, 1, 7 if n < 25_000 else cell) for n in range(25_001)]
    said, _ = scan("--klines", csv(tmp_path / "b.csv", [OURS], rows), tmp_path / "out.jsonl")
    assert (said.code, said.err.count("violet:"), "b.csv line 25002: volume " in said.err) == (3, 1, True)
    assert last in said.err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "symbols", [("000001", "600519"), ("INF", "NAN"), ("1E5", "2E5"), ("TRUE", "NULL"), ("007", "7"), ("NA", "N.A")]
)
def test_a_symbol_is_what_stands_there_to_the_letter(tmp_path, symbols):
    rows = [(symbol, *bar) for bar in BARS[:52] for symbol in symbols]
    said, scans = scan("--klines", csv(tmp_path / "b.csv", [OURS], rows), tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert list(scans[-1]["prices"]) == sorted(symbols)


PRICES = ["102906.1", "0.1", "0.000012345678901234", "123456.78901234567", "1", "99999999.99999999", "2.675", "1e-7"]


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("kind", [pa.decimal128(38, 18), pa.decimal256(60, 30), pa.string(), pa.float64()])
def test_a_decimal_is_rounded_once_to_the_nearest_double(tmp_path, price, kind):
    value = price if kind == pa.string() else float(price) if kind == pa.float64() else Decimal(price)
    columns = {name: pa.array([value] * 52, kind) for name in ("open", "high", "low", "close")}
    table = (
        {"symbol": ["A"] * 52, "open_time_ms": [START + 60_000 * n for n in range(52)]}
        | columns
        | {"volume": [1.0] * 52}
    )
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    said, scans = scan("--klines", tmp_path / "b.parquet", tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert scans[-1]["prices"] == {"A": float(price)}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None])
def test_what_is_no_number_in_parquet_is_refused_as_it_is_in_csv(tmp_path, value):
    columns = {name: [2.0] * 51 + [value] for name in ("open", "high", "low", "close", "volume")}
    table = {"symbol": ["A"] * 52, "open_time_ms": [START + 60_000 * n for n in range(52)]} | columns
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    said, _ = scan("--klines", tmp_path / "b.parquet", tmp_path / "out.jsonl")
    assert (said.code, "b.parquet row 52: close must be finite and above 0, was " in said.err) == (3, True)


# -- times --------------------------------------------------------------------------------------------------------------

TIMES = {
    "milliseconds": (lambda ts: ts, ()),
    "scientific": (lambda ts: f"{Decimal(ts):.9e}", ()),
    "with a fraction of zero": (lambda ts: f"{ts}.0", ()),
    "microseconds": (lambda ts: ts * 1_000, ("--unit", "us")),
    "nanoseconds": (lambda ts: ts * 1_000_000, ("--unit", "auto")),
    "seconds": (lambda ts: ts // 1_000, ("--unit", "auto")),
    "seconds with a fraction": (lambda ts: f"{ts / 1_000:.3f}", ("--unit", "s")),
    "both": (lambda ts: ts * (1_000 if ts > START + 999_999 else 1), ("--unit", "ms,us")),
    "ISO with Z": (lambda ts: datetime.fromtimestamp(ts / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), ()),
    "ISO with an offset": (lambda ts: str(datetime.fromtimestamp(ts / 1_000, UTC)), ()),
    "ISO without a zone": (lambda ts: str(datetime.fromtimestamp(ts / 1_000, UTC))[:19], ("--zone", "UTC")),
    "ISO in a zone": (
        lambda ts: str(datetime.fromtimestamp(ts / 1_000 + 7_200, UTC))[:19],
        ("--zone", "Europe/Vienna"),
    ),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_time_of_any_form_is_that_time(reference, tmp_path, name):
    form, flags = TIMES[name]
    ours(tmp_path / "b.csv", [(form(ts), *values) for ts, *values in BARS])
    said, _ = scan("--klines", tmp_path / "b.csv", *flags, tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()
    if flags:
        said, _ = scan("--klines", tmp_path / "b.csv", tmp_path / "none.jsonl")
        assert said.code == 3
        assert "fix: --unit" in said.err or "fix: --zone UTC" in said.err
        assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("at", [0, 20])
def test_the_fix_that_is_named_works(tmp_path, at):
    ours(tmp_path / "b.csv", [(ts * (1_000 if n >= at else 1), *values) for n, (ts, *values) in enumerate(BARS)])
    said, _ = scan("--klines", tmp_path / "b.csv", tmp_path / "out.jsonl")
    fix = said.err.partition("fix: ")[2].split()
    assert (said.code, fix) == (3, ["--unit", "ms,us" if at else "us"])
    said, scans = scan("--klines", tmp_path / "b.csv", *fix, tmp_path / "out.jsonl")
    assert [s["ts_ms"] for s in scans] == [ts + 60_000 for ts, *_ in BARS[50:]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_parquet_bear_their_unit(reference, tmp_path, unit):
    ts, *values = zip(*BARS, strict=True)
    stamps = pa.array(ts, pa.timestamp("ms", "UTC")).cast(pa.timestamp(unit, "UTC"))
    names = ("open", "high", "low", "close", "volume")
    table = {"symbol": ["BTCUSDT"] * COUNT, "open_time_ms": stamps} | dict(zip(names, map(list, values), strict=True))
    pf.write_feather(pa.table(table), tmp_path / "b.feather")
    said, _ = scan("--klines", tmp_path / "b.feather", tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()


def test_times_of_parquet_without_a_zone_need_one(reference, tmp_path):
    path = frame(tmp_path / "BTC_USDT-1m.parquet", zone=None)
    said, _ = scan("--klines", path, "--preset", "freqtrade", tmp_path / "out.jsonl")
    assert (said.code, "has no time zone; fix: --zone UTC" in said.err) == (3, True)
    said, _ = scan("--klines", path, "--preset", "freqtrade", "--zone", "UTC", tmp_path / "out.jsonl")
    assert (said.code, (tmp_path / "out.jsonl").read_bytes()) == (0, reference.read_bytes())


# -- the bars' own step -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "name"), [(30_000, "30s"), (180_000, "3m"), (300_000, "5m"), (900_000, "15m"), (3_600_000, "1h")]
)
def test_bars_of_another_step_are_refused_or_scanned_at_their_close(tmp_path, step, name):
    path = ours(tmp_path / "b.csv", [(START + step * n, *values) for n, (_, *values) in enumerate(BARS)])
    said, _ = scan("--klines", path, tmp_path / "out.jsonl")
    assert (said.code, f"are {name} apart, must be 1m; fix: " in said.err, f"--step {name}" in said.err) == (
        3,
        True,
        True,
    )
    said, scans = scan("--klines", path, "--step", name, tmp_path / "out.jsonl")
    assert [(s["ts_ms"], s["prices"]) for s in scans] == [
        (START + step * (n + 1), {"BTCUSDT": CLOSE[n]}) for n in range(50, COUNT)
    ]


MAP = """
columns = ["at", "o", "h", "l", "c", "amount"]
delimiter = ";"
[fields]
symbol = { file = "([A-Z]+) of .*" }
open_time_ms = { path = "at", unit = "s" }
high = "h"
low = "l"
close = "c"
volume = "amount"
"""


def test_a_map_says_what_no_preset_does(reference, tmp_path):
    path = tmp_path / "BTCUSDT of May.txt"
    path.write_text("\n".join(";".join(map(str, (ts // 1_000, *values))) for ts, *values in BARS))
    (tmp_path / "bars.toml").write_text(MAP)
    said, _ = scan("--klines", path, "--map", tmp_path / "bars.toml", tmp_path / "out.jsonl")
    assert said.code == 0, said.err
    assert (tmp_path / "out.jsonl").read_bytes() == reference.read_bytes()


WIDE = io.StringIO("ts,BTCUSDT,ETHUSDT\n1746835200000,94210.5,1810.5\n")
NO_BARS = {
    "a wide table": (
        WIDE.getvalue().encode(),
        "must hold the columns symbol, open_time_ms, high, low, close, volume; missing: ",
    ),
    "a backtest": (
        json.dumps({"strategy": {"S": {"trades": []}}, "strategy_comparison": []}, indent=1).encode(),
        "is one JSON object",
    ),
    "a header alone": (OURS.encode(), "must hold at least one row, was empty"),
    "nothing": (b"", "must hold at least one row, was empty"),
    "a database": (b"SQLite format 3\x00", "is an SQLite database; bars are CSV, JSON, Parquet or Feather"),
    "a page": (b"<html>404</html>", "is HTML or XML"),
    "half a zip": (b"PK\x03\x04half", "cannot be read"),
}


@pytest.mark.parametrize("name", NO_BARS)
def test_what_holds_no_bars_is_named_and_nothing_is_written(tmp_path, name):
    body, says = NO_BARS[name]
    (tmp_path / "x").write_bytes(body)
    said, _ = scan("--klines", tmp_path / "x", tmp_path / "out.jsonl")
    assert (said.code, says in said.err, "; fix: " in said.err) == (3, True, True), said.err
    assert not (tmp_path / "out.jsonl").exists()
