"""Cases: trades as other programs write them, by `violet blue import`, from the file to the rows of blue_trades."""

import csv
import gzip
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import producer

journal = own_journal  # imports are held against all that it decided on
ROOT = Path(__file__).parents[2]
T0 = 1_746_835_260_000  # 2025-05-10 00:01:00 UTC
MINUTE = 60_000
FIELDS = {
    "trade_id": '"trade_id"',
    "asset": '{ path = "pair", unit = "pair" }',
    "side": '{ path = "is_short", values = { true = "SHORT", false = "LONG", True = "SHORT", False = "LONG" } }',
    "entry_ts_ms": '{ path = "open_date", unit = "iso", zone = "UTC" }',
    "exit_ts_ms": '{ path = "close_date", unit = "iso", zone = "UTC" }',
    "leverage": '"leverage"',
    "pnl": '"profit_abs"',
}
FIRST = {"trade_id": 1, "pair": "SOL/USDT:USDT", "is_short": True, "open_date": "2025-05-10 00:01:05+00:00",
         "close_date": "2025-05-10 00:03:00+00:00", "leverage": 2.0, "profit_abs": 0.5}  # fmt: skip
OPEN = {**FIRST, "trade_id": 2, "open_date": "2025-05-10 00:02:05+00:00", "close_date": None, "profit_abs": None}
TRADES = [("1", "SOLUSDT", T0 + 5_000, T0 + 120_000, 2.0, 0.5), ("2", "SOLUSDT", T0 + 65_000, None, 2.0, None)]


@pytest.fixture(scope="module")
def soaked(journal, tmp_path_factory):
    """A run that decides on SOLUSDT, five times."""
    lines = [
        records.scan(n, ts_ms=T0 + MINUTE * n, vel_div=-0.04, prices={"SOLUSDT": 171.0 + n},
                     irp={"SOLUSDT": {"score": 0.5, "alignment": 0.5}})
        for n in range(5)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("sol") / "scans.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return journal.soak(scans=path)


@pytest.fixture
def bring(journal, soaked, tmp_path):
    """bring(content, name, ...) -> what the import said, and the trades that it brought; it is forgotten again."""
    brought = []

    def run(content, name, *flags, fields=FIELDS, head="", toml=None):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        lines = "\n".join(f"{ours} = {theirs}" for ours, theirs in (fields or {}).items())
        mapping = tmp_path / "blue.toml"
        mapping.write_text(toml or f'[[source]]\nfeeds = "trade"\n{head}\n[source.fields]\n{lines}\n')
        given = ("--map", mapping) if fields is not None else ()
        place = name if name.startswith("topic:") else path
        said = journal.violet("blue", "import", "--trades", place, *given, "--json", *flags)
        if said.code == 0:
            brought.append(said.json["import_id"])
        return said

    yield run
    for import_id in filter(None, brought):
        journal.violet("blue", "forget", import_id, "--reason", "the test is over")


def trades(journal, columns="trade_id, asset, entry_ts_ms, exit_ts_ms, leverage, pnl"):
    rows = journal.rows(
        f"SELECT {columns} FROM blue_trades WHERE label = 'REAL' AND asset = 'SOLUSDT' ORDER BY trade_id"
    )
    return [tuple(row.values()) for row in rows]


def refused(journal, said, *words):
    assert (said.code, said.err.count("\n"), trades(journal)) == (3, 1, [])
    for each in words:
        assert each in said.err


def table(*rows, empty=""):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([empty if value is None else value for value in row.values()] for row in rows)
    return text.getvalue()


@pytest.mark.parametrize("word", ["NaT", "", "None", "null", "NULL", "NaN", "N/A", "\\N", "<NA>", "nil"])
def test_a_trade_that_is_open_has_no_exit_whatever_the_word(bring, journal, word):
    assert bring(table(FIRST, OPEN, empty=word), "t.csv").code == 0
    assert trades(journal) == TRADES


def test_trades_that_are_all_open_are_no_wrong_path(bring, journal):
    assert bring(table(OPEN, empty="NaT"), "t.csv").code == 0
    assert trades(journal) == TRADES[1:]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_what_the_product_itself_writes_is_read_again(bring, journal, tmp_path, name):
    assert bring(json.dumps([FIRST, OPEN]), "t.json").code == 0
    form = name.removeprefix("t.")
    sql = "SELECT trade_id, asset, side, entry_ts_ms, exit_ts_ms, leverage, pnl FROM blue_trades WHERE asset = 'SOLUSDT' ORDER BY trade_id"
    if form == "parquet":
        rows = journal.rows(sql)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "export.parquet")
        content = (tmp_path / "export.parquet").read_bytes()
    else:
        content = journal.violet("sql", sql, "--format", form.removesuffix("l")).out
    assert ("\\N" in content) if form == "csv" else True
    again = bring(content, name, fields=None)
    assert (again.code, again.json["trades_read"]) == (0, 2)
    assert trades(journal) == TRADES


@pytest.mark.parametrize("pair", ["SOL-USDT", "sol_usdt"])
def test_trades_on_a_pair_with_a_dash_meet_their_scans(bring, journal, soaked, pair):
    fields = {**FIELDS, "entry_ts_ms": '"opened"'}
    del fields["exit_ts_ms"]
    rows = [{**FIRST, "trade_id": n, "pair": pair, "opened": float(T0 + n * MINUTE)} for n in range(4)]
    assert bring(table(*rows), "t.csv", fields=fields).code == 0
    seen = json.loads(journal.violet("blue", "look", soaked.run_id, "--json").out)
    assert (seen["universe"]["share"], seen["colocation"]["share"], seen["colocation"]["n"]) == (1.0, 1.0, 4)


def test_an_import_of_which_no_asset_was_decided_on_is_said_before_it_is_written(bring, journal):
    plain = {**FIELDS, "asset": '"pair"'}
    rows = json.dumps([{**FIRST, "pair": "SOL-USDT"}])
    other = json.dumps([{**FIRST, "pair": "SOL-USDT", "trade_id": 9}])
    refused(
        journal,
        bring(rows, "t.json", fields=plain),
        "no asset of these trades (SOL-USDT)",
        "SOLUSDT",
        'fix: unit = "pair"',
        "--any-asset",
    )
    many = json.dumps([{**FIRST, "pair": f"A{n}-USDT", "trade_id": n} for n in range(7)])
    refused(journal, bring(many, "t.json", fields=plain), "(A0-USDT, A1-USDT, A2-USDT, A3-USDT, A4-USDT and 2 more)")
    before = journal.value("SELECT count() FROM violet_blue_trades")
    assert bring(rows, "t.json").code == 0
    assert trades(journal) == TRADES[:1]
    assert bring(other, "t.json", "--any-asset", fields=plain).json["trades_new"] == 1
    assert journal.value("SELECT count() FROM violet_blue_trades") == before + 2


@pytest.mark.parametrize(
    "name", ["T.CSV", "t.csv.gz", "renamed.csv", "t.zip", "t", "t.parquet", "t.feather", "t.json.gz", "t.sqlite"]
)
def test_trades_are_read_out_of_every_container(bring, journal, tmp_path, name):
    text, packed = table(FIRST, OPEN), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("inner.csv", text)
    columns = pa.Table.from_pylist([FIRST, OPEN])
    pq.write_table(columns, tmp_path / "x.parquet")
    feather.write_feather(columns, tmp_path / "x.feather")
    database(tmp_path / "x.sqlite", "trades", [FIRST, OPEN])
    content = {
        "T.CSV": text, "t": text, "t.csv.gz": gzip.compress(text.encode()), "renamed.csv": gzip.compress(text.encode()),
        "t.zip": packed.getvalue(), "t.json.gz": gzip.compress(json.dumps([FIRST, OPEN], indent=1).encode()),
        **{f"t.{each}": (tmp_path / f"x.{each}").read_bytes() for each in ("parquet", "feather", "sqlite")},
    }[name]  # fmt: skip
    values = ', values = { true = "SHORT", True = "SHORT", 1 = "SHORT" } }'
    fields = {**FIELDS, "side": '{ path = "is_short"' + values}
    said = bring(content, name, fields=fields)
    assert said.code == 0, said.err
    assert trades(journal) == TRADES


def database(path, name, rows, *more):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {name} ({', '.join(rows[0])})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", [tuple(row.values()) for row in rows])
        for statement in more:
            connection.execute(statement)


def test_two_spare_columns_of_one_name_are_not_judged(bring, journal):
    text = table(FIRST).replace("trade_id,pair", "trade_id,note,pair").replace("1,SOL", "1,a,SOL")
    text = text.replace("profit_abs", "profit_abs,note").replace("0.5\n", "0.5,b\n")
    assert bring(text, "t.csv").code == 0
    assert trades(journal) == TRADES[:1]
    refused_text = text.replace("note", "leverage", 1)
    said = bring(refused_text, "t.csv")
    assert said.code == 3
    assert "t.csv: line 2: leverage: several columns are named 'leverage'; fix: rename" in said.err


def test_a_tombstone_in_a_topic_is_passed_over_and_counted(bring, journal, session_tansu):
    topic = session_tansu.create_topic()
    made = producer(session_tansu.bootstrap)
    for n in range(6):
        made.produce(topic, json.dumps({**FIRST, "trade_id": n}).encode(), key=f"t{n}".encode())
    for n in (1, 4):
        made.produce(topic, None, key=f"t{n}".encode())
    assert made.flush(20.0) == 0
    said = bring(None, f"topic:{topic}", "--bootstrap-servers", session_tansu.bootstrap)
    assert said.code == 0, said.err
    assert (said.json["trades_new"], said.json["passed_over"]) == (6, {"without a value (tombstones)": 2})
    assert [row[0] for row in trades(journal)] == [str(n) for n in range(6)]


def guide():
    """The mapping and the commands of the page, as they stand there."""
    page = (ROOT / "docs/blue.md").read_text()
    mapping = page.partition("```toml\n")[2].partition("```")[0]
    commands = (
        page.partition("<!-- run by tests/cases/test_blue_imports.py -->")[2]
        .partition("```sh\n")[2]
        .partition("```")[0]
    )
    return mapping, [line.split()[4] for line in commands.splitlines()]


def freqtrade(**more):
    return {key: value for key, value in {**FIRST, **more}.items() if key != "trade_id"}


def of_freqtrade(folder, name):
    """One closed and one open trade, as freqtrade's database, its backtest and its API write them."""
    path = folder / name
    if name.endswith(".sqlite"):
        cells = {"is_short": 1, "open_date": "2025-05-10 00:01:05.000000", "close_date": "2025-05-10 00:03:00.000000"}
        rows = [{"id": 1, **freqtrade(**cells)}, {"id": 2, **freqtrade(**cells, profit_abs=None)}]
        rows[1] |= {"open_date": "2025-05-10 00:02:05.000000", "close_date": None}
        rows = [
            {"close_profit_abs" if key == "profit_abs" else key: value for key, value in row.items()} for row in rows
        ]
        database(path, "trades", rows, "CREATE TABLE orders(id)", "CREATE TABLE pairlocks(id)")
    elif name.endswith(".zip"):
        rows = [freqtrade(), freqtrade(open_date=OPEN["open_date"], close_date=None, profit_abs=None)]
        result = {"metadata": {"SampleStrategy": {}}, "strategy": {"SampleStrategy": {"trades": rows, "locks": []}}, "strategy_comparison": []}  # fmt: skip
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(name.replace(".zip", ".json"), json.dumps(result, indent=1))
            file.writestr(name.replace(".zip", "_config.json"), "{}")
            file.writestr(name.replace(".zip", "_market_change.feather"), b"ARROW1")
    else:
        closed = {**FIRST, "close_profit_abs": 0.5, "orders": [{"order_id": "x"}]}
        still = {**OPEN, "profit_abs": 7.0, "close_profit_abs": None, "orders": []}
        path.write_text(json.dumps({"trades": [closed, still], "trades_count": 2, "offset": 0, "total_trades": 2}))
    return path


@pytest.mark.parametrize("at", range(3))
def test_freqtrade_is_imported_in_one_command(bring, journal, tmp_path, at):
    mapping, names = guide()
    assert len(names) == 3
    path = of_freqtrade(tmp_path, names[at])
    said = bring(None, path.name, toml=mapping)
    assert said.code == 0, said.err
    found = trades(journal)
    assert [row[1:] for row in found] == [row[1:] for row in TRADES]
    ids = {".zip": [f"SOL/USDT:USDT {each['open_date']}" for each in (FIRST, OPEN)]}.get(path.suffix, ["1", "2"])
    assert [row[0] for row in found] == ids


def test_an_export_without_a_place_of_its_rows_is_pointed_at_them(bring, journal, tmp_path):
    result = {"strategy": {"SampleStrategy": {"trades": [freqtrade()], "locks": []}}, "strategy_comparison": []}
    for indent in (None, 1):
        said = bring(json.dumps(result, indent=indent), "backtest-result.json")
        refused(
            journal,
            said,
            'a list of rows in "strategy.SampleStrategy.trades"; fix: rows = "strategy.SampleStrategy.trades"',
        )
    ids = {**FIELDS, "trade_id": '{ join = ["pair", "open_date"] }'}
    named = bring(
        json.dumps(result), "backtest-result.json", fields=ids, head='rows = "strategy.SampleStrategy.trades"'
    )
    assert (named.code, trades(journal)[0][1:]) == (0, TRADES[0][1:])


def test_two_strategies_in_one_export_are_never_mixed(bring, journal):
    result = {"strategy": {name: {"trades": [freqtrade()]} for name in ("A", "B")}}
    said = bring(json.dumps(result), "r.json", head='rows = "strategy.*.trades"')
    refused(journal, said, "`*` of `rows` is for one key, here are 'A', 'B'; fix: name one of them")


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"PK\x03\x04", "t.xlsx", "cannot be read"),
        ("trade_id;pair\n1;SOL/USDT\n", "t.csv", "the row has no 'open_date'; it has trade_id, pair"),
        ("<html><body>503</body></html>", "t.json", "HTML or XML"),
        (table(FIRST).encode("utf-16"), "t.csv", "text in UTF-16; fix: write it in UTF-8"),
        (b"", "t.csv", "must hold at least one row, was empty"),
        (b"7z\xbc\xaf\x27\x1c", "t.7z", "is packed as 7z; fix: unpack it"),
    ],
)
def test_what_holds_no_trades_is_named_by_what_it_is(bring, journal, content, name, said):
    refused(journal, bring(content, name), said, "fix: ")
