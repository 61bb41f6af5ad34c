"""From a foreign raw file to the first look beside BLUE: the commands of docs/blue.md, as they stand there."""

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from tests import shapes
from tests.integration.soaking import FUNDING, KLINES, ROOT, violet
from tests.integration.test_real_data import needs_data

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/blue.md").read_text("utf-8")
HOURS = 12  # of the recorded month


def commands(shape):
    """The command lines of a shape."""
    block = PAGE.partition("## From a raw file to the first look")[2].partition("```sh")[2].partition("```")[0]
    (lines,) = (part.splitlines()[1:] for part in block.split("\n# ") if part.startswith(shape))
    return [shlex.split(line, comments=True) for line in lines]


def klines(folder, journal):
    """The first hours of the recorded bars, and their funding."""
    for source, name, at in ((KLINES, "bars", "open_time_ms"), (FUNDING, "funding", "funding_time_ms")):
        journal.store.command(
            f"INSERT INTO FUNCTION file('{folder}/{name}.parquet', Parquet) SELECT * FROM file('{source}', Parquet) "
            f"WHERE {at} < (SELECT min(open_time_ms) FROM file('{KLINES}', Parquet)) + {HOURS} * 3600000 "
            f"ORDER BY {at}, symbol SETTINGS input_format_parquet_preserve_order = 1"
        )


def signals(folder, _):
    """A strategy's signals, its trades, and for those the mapping of the page."""
    shapes.signals(folder)
    trades = [
        shapes.freqtrade(n, f"{datetime.fromtimestamp(shapes.START_S, UTC) + timedelta(minutes=60 + 2 * n)}", pair=pair)
        for n, pair in enumerate([*shapes.PAIRS] * 15)
    ]
    (folder / "trades.json").write_text(json.dumps(trades))
    mapping = PAGE.partition("For freqtrade, one mapping")[2].partition("```toml\n")[2].partition("```")[0]
    (folder / "blue.toml").write_text(mapping)


def nested(folder, _):
    shapes.nested(folder)


SHAPES = {"exchange klines": klines, "a table of signals": signals, "nested payloads": nested}
SAID = {
    "exchange klines": ("STAND-IN", "100.0% within 5 minutes on the same asset (N "),
    "a table of signals": ("REAL", "60 of 60 trades inside the run's scans", "not co-located", "EXCLUDED", "others: USDCUSDT"),
    "nested payloads": ("STAND-IN", "13 identical bit for bit of N 13"),
}  # fmt: skip


@pytest.mark.parametrize("shape", [pytest.param("exchange klines", marks=needs_data), *list(SHAPES)[1:]])
def test_a_raw_file_is_looked_at_beside_blue_in_five_commands(journal, tmp_path, monkeypatch, shape):
    SHAPES[shape](tmp_path, journal)
    lines = commands(shape)
    assert 1 < len(lines) <= 5
    monkeypatch.chdir(tmp_path)
    for program, *words in lines:
        assert program == "violet"
        said = violet(*words)
        assert said.code in ((0, 2) if words[0] == "soak" else (0,)), said.err
    assert lines[-1][1:3] == ["blue", "look"]
    for words in ("universe", "(N ", "co-located", "vel_div", "median curve", "no verdict; trust HOLD", *SAID[shape]):
        assert words in said.out
    for words in ("inf", "nan", "None"):
        assert f" {words} " not in said.out
