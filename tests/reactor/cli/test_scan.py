"""violet scan: a summary that names the stand-in, and nothing on disk after a refusal."""

import json

from click.testing import CliRunner

from journal.refusal import Refusal
from reactor.cli import scan
from reactor.standin import bars


def csv(path, minutes):
    rows = [
        f"{symbol},{m.ts_ms},{close!r},{high!r},{low!r},{close!r},{volume!r}"
        for m in minutes
        for symbol, close, high, low, volume in zip(m.symbols, *(a.tolist() for a in m[2:]), strict=True)
    ]
    path.write_text("\n".join(["symbol,open_time_ms,open,high,low,close,volume", *rows]) + "\n")
    return path


def run(*args):
    return CliRunner().invoke(scan.command, [str(arg) for arg in args])


def test_the_summary_names_the_stand_in_and_the_archive_is_the_scanners(tmp_path, market):
    klines, out = csv(tmp_path / "k.csv", market[:120]), tmp_path / "s.jsonl"
    result = run("--klines", klines, "--out", out, "--stream", "x1", "--capital", 5000, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["scanner"], summary["scans"], summary["last"]) == (
        "stand-in",
        70,
        bars.utc(market[119].ts_ms + 60_000),
    )
    records = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert len(records) == summary["scans"] + summary["planes"]
    assert {r["stream"] for r in records} == {"x1"}
    assert "stand-in" in run("--klines", klines, "--out", out, "--force").stdout


def test_a_refusal_leaves_nothing_behind(tmp_path, market):
    klines, out = csv(tmp_path / "k.csv", market[:50]), tmp_path / "s.jsonl.zst"
    for args, rule in (
        ((), "at least 51 bars"),
        (("--step", "2x"), "--step must be a duration up to 1d"),
        (("--step", "5m"), "are 1m apart, must be 5m"),
        (("--unit", "weeks"), "--unit must be of s, ms, us, ns or auto"),
        (("--zone", "Mars"), "no time zone 'Mars'"),
        (("--preset", "kraken", "--map", klines), "give one of them"),
        (("--map", tmp_path / "none.toml"), "cannot be read"),
        (("--map", klines), "the map must be TOML"),
        (("--preset", "kraken", "--symbol", "btc usd"), "symbol must match"),
        (("--klines", tmp_path / "none-*.csv"), "was not found"),
        (("--stream", "a b"), "stream must match"),
        (("--capital", "-1"), "capital_usd must be above 0"),
        (("--funding", klines), "missing: funding_time_ms, funding_rate"),
        (("--funding", tmp_path / "none.parquet"), "was not found"),
    ):
        result = run("--klines", klines, "--out", out, *args)
        assert isinstance(result.exception, Refusal), result.output
        assert rule in str(result.exception)
        assert list(tmp_path.iterdir()) == [klines]
    out.write_bytes(b"kept")
    assert isinstance(run("--klines", klines, "--out", out).exception, Refusal)
    assert out.read_bytes() == b"kept"
