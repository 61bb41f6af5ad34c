"""BLUE's trades beside a soak, end to end: simulate, import, clean, look; on the real engine, through the commands."""

import csv
import json
import random
from collections import Counter
from statistics import correlation, median
from urllib.parse import urlsplit

import pytest

from journal.blue import intake
from journal.judge.gate import Scope
from journal.ledger.claim import Beat, take
from journal.refusal import Refusal
from journal.store import connect
from lanes.profile import PROFILES
from reactor.drill.proxy import Proxy
from reactor.standin.seeded import write_market
from tests import shapes
from tests.integration import records
from tests.integration.soaking import produce, violet
from tests.reactor.standin.test_dirt import clean as clean_trades

pytestmark = pytest.mark.slow

MINUTE_MS = 60_000
TABLES = ("violet_blue_imports", "violet_blue_trades", "violet_blue_legs")


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    path = tmp_path_factory.mktemp("blue") / "market.jsonl.zst"
    write_market(path, 11, 1_500)
    return path


@pytest.fixture(scope="module")
def soaked(journal, market):
    """The journal of a soak of the seeded market; its run."""
    return journal.soak(scans=market, name="market").run_id


@pytest.fixture(scope="module")
def simulated(market, tmp_path_factory):
    """simulated(*options) -> a stand-in's trades and legs as text, and what was told of them; made once."""
    folder, made = tmp_path_factory.mktemp("simulated"), {}

    def simulate(*options):
        if options not in made:
            trades, legs = folder / f"{len(made)}.csv", folder / f"{len(made)}-legs.csv"
            said = violet(
                "blue", "simulate", "--scans", market, "--out", trades, "--legs-out", legs, "--json", *options
            )
            made[options] = trades.read_text(), legs.read_text(), said.json
        return made[options]

    return simulate


@pytest.fixture
def blue(journal, soaked, simulated, tmp_path):
    """blue("import", ...) -> what it said; what was imported is forgotten after the test."""
    yield Blue(journal, soaked, simulated, tmp_path)
    for row in (
        journal.rows("SELECT import_id FROM violet_blue_imports FINAL WHERE state = 'COMPLETE'")
        if there(journal)
        else ()
    ):
        assert journal.violet("blue", "forget", row["import_id"], "--reason", "the test is over").code == 0


def there(journal):
    return journal.value("EXISTS TABLE violet_blue_imports")


class Blue:
    def __init__(self, journal, run_id, simulated, folder):
        self.journal, self.run_id, self.simulated, self.folder = journal, run_id, simulated, folder

    def __call__(self, *arguments):
        return self.journal.violet("blue", *arguments)

    def simulate(self, *options, name="trades"):
        """Files of trades and legs, and what was told of them."""
        *texts, told = self.simulated(*options)
        paths = self.folder / f"{name}.csv", self.folder / f"{name}-legs.csv"
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return *paths, told

    def bring(self, *arguments):
        return self("import", *arguments, "--json").json

    def look(self, *arguments, run=None):
        said = self("look", run or self.run_id, "--json", *arguments)
        assert said.code == 0, said.err
        return said.json

    def pairs(self):
        return self.journal.rows("SELECT * FROM blue_pairs WHERE run_id = {run:String}", run=self.run_id)

    def counts(self):
        """Rows of every table, which a refusal must leave alone."""
        return [self.journal.value(f"SELECT count() FROM {t} FINAL") for t in TABLES]


def sized(pair, *, dc_boost=None, esof=None):
    """Leverage of a pair's decision with another DC boost, or another haircut."""
    p = PROFILES["blue_8b"]
    dc = pair["dc"] if dc_boost is None or pair["dc_status"] != "CONFIRM" else dc_boost
    cut = pair["esof"] if esof is None else esof
    raw = pair["base"] * dc * pair["acb"] * pair["ob"] * cut
    cap = min(p.base.base_max * pair["acb"] * pair["ob"] * cut, p.fanin.abs_max)
    if pair["bound"] == "STALKER":
        cap = min(cap, p.fanin.stalker_cap)
    return max(p.base.min_lev, min(raw, cap))


def test_with_equal_params_every_trade_is_covered_co_located_and_sized_bit_for_bit(blue):
    trades, legs, told = blue.simulate()
    brought = blue.bring("--trades", trades, "--legs", legs)
    assert (brought["label"], brought["trades_new"], brought["legs_new"]) == ("STAND-IN", told["rows"], told["legs"])
    seen = blue.look()
    n = told["trades"]
    assert n > 30
    assert (seen["universe"]["share"], seen["universe"]["n"]) == (1.0, n)
    assert (seen["colocation"]["share"], seen["colocation"]["n"], seen["colocation"]["gap_ms_median"]) == (1.0, n, 0)
    assert (seen["leverage"]["identical"], seen["leverage"]["n"], seen["leverage"]["max_abs_err"]) == (n, n, 0.0)
    assert (seen["vel_div"]["same"], seen["unmatched"]["n"]) == (n, 0)
    assert sum(row["n"] for row in seen["buckets"] if row["vel_div"] != "all" and row["dc_status"] == "all") == n
    assert sum(step["n"] for step in seen["curve"]["steps"]) == n
    assert (seen["verdict"], seen["trust"][:16], seen["label"]) == (None, "HOLD (the trades", "STAND-IN")
    said = blue("look", blue.run_id)
    assert said.code == 0
    assert said.out.rstrip().endswith(f"no verdict; trust {seen['trust']}")
    assert f"100.0% within 5 minutes on the same asset (N {n})" in said.out
    assert "PASS" not in said.out


def test_another_dc_boost_shows_where_dc_confirms_and_no_bound_holds_and_nowhere_else(blue):
    blue.bring("--trades", blue.simulate("--plant", "dc-boost")[0])
    pairs, seen = blue.pairs(), blue.look()
    moved = {pair["trade_id"] for pair in pairs if not pair["is_identical"]}
    assert all(pair["recorded"] == sized(pair, dc_boost=1.15) for pair in pairs)
    assert moved == {pair["trade_id"] for pair in pairs if sized(pair, dc_boost=1.15) != pair["journaled"]}
    shown = {(row["vel_div"], row["dc_status"]): row for row in seen["buckets"]}
    assert any(row["identical"] < row["n"] for (_, status), row in shown.items() if status == "CONFIRM")
    for (bucket, status), row in shown.items():
        if status in ("NEUTRAL", "CONTRADICT", "UNKNOWN") or bucket in ("-0.05 to -0.06", "-0.06 and below"):
            assert (row["identical"], row["ratio_min"], row["ratio_max"]) == (row["n"], 1.0, 1.0)
        elif status == "CONFIRM":
            assert 1.0 <= row["ratio_min"] <= row["ratio_max"] < 1.0455
    assert seen["leverage"]["share_below"] == 0.0
    assert seen["colocation"]["share"] == 1.0


def test_a_stale_esof_is_recovered_as_its_own_haircut_and_explains_every_difference(blue):
    blue.bring("--trades", blue.simulate("--plant", "esof-stale")[0])
    pairs, seen = blue.pairs(), blue.look()
    assert all(pair["recorded"] == sized(pair, esof=0.4) for pair in pairs)
    assert 0 < seen["leverage"]["identical"] < seen["leverage"]["n"] == len(pairs)
    bands = {row["band"]: row for row in seen["recovery"]["bands"]}
    assert bands["0.4"]["recorded_to_esof"] == max(
        row["recorded_to_esof"] for name, row in bands.items() if name != "between"
    )
    assert sum(row["recorded_to_esof"] for row in bands.values()) == len(pairs)
    assert all(row["ratio_min"] > 0.3999 for row in seen["buckets"])


def test_dirt_is_cleaned_to_the_counts_that_it_was_made_with_and_every_dropped_row_has_its_reason(blue):
    trades, legs, told = blue.simulate("--dirt")
    blue.bring("--trades", trades, "--legs", legs)
    seen = blue.look()
    cleaned = seen["cleaning"]
    assert (cleaned["rows"], cleaned["trade_ids"], cleaned["kept"]) == (told["rows"], told["trades"], told["kept"])
    assert cleaned["most_rows"] == told["most_rows"]
    assert cleaned["notes"].get("LEGS_MISSING", 0) == told["legless"]
    assert (seen["leverage"]["identical"], seen["leverage"]["n"]) == (told["kept"], told["kept"])
    dropped = blue.journal.rows("SELECT trade_id, reason, raw FROM blue_dropped")
    assert Counter(row["reason"] for row in dropped) == cleaned["dropped"]
    assert len(dropped) + told["kept"] == told["rows"]
    assert all(row["trade_id"] in str(row["raw"]) for row in dropped)


def test_the_recorded_table_is_cleaned_to_2121_trades(blue, tmp_path):
    from reactor.cli.blue import TRADE_COLUMNS
    from reactor.standin.dirt import soil

    dirt = soil(clean_trades(2_300), 7)
    path = tmp_path / "recorded.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TRADE_COLUMNS[:-1])
        writer.writerows([getattr(row, name) for name in TRADE_COLUMNS[:-1]] for row in dirt.rows)
    assert blue.bring("--trades", path)["trades_new"] == 3_453
    (counts,) = blue.journal.rows(
        "SELECT count() AS rows, uniqExact(trade_id) AS trades, max(trade_rows) AS most, countIf(reason = '') AS kept, "
        "countIf(reason LIKE 'DUPLICATE%') AS again, countIf(reason = 'DUPLICATE_OTHER_EXIT') AS other, "
        "countIf(reason IN ('HIBERNATE_HALT', 'BARS_HELD_0')) AS artefacts FROM blue_cleaning"
    )
    assert counts == {
        "rows": 3_453,
        "trades": 2_193,
        "most": 317,
        "kept": 2_121,
        "again": 1_260,
        "other": 10,
        "artefacts": 72,
    }
    assert (
        blue.journal.value(
            "SELECT count() FROM blue_trades WHERE exit_reason IN ('HIBERNATE_HALT', 'PARTIAL') OR bars_held = 0"
        )
        == 0
    )


def test_importing_again_or_overlapping_files_changes_nothing_and_says_what_was_there(blue, tmp_path):
    trades, legs, told = blue.simulate("--dirt")
    lines = trades.read_text().splitlines(keepends=True)
    half = tmp_path / "half.csv"
    half.write_text("".join(lines[: len(lines) // 2]))
    first = blue.bring("--trades", half)
    second = blue.bring("--trades", trades, "--legs", legs)
    assert first["trades_new"] == len(lines) // 2 - 1
    assert second["trades_new"] + second["trades_there"] == told["rows"]
    assert 0 < second["trades_new"] < told["rows"]
    kept = blue.journal.rows("SELECT trade_id, leverage, pnl, exit_ts_ms, legs FROM blue_trades ORDER BY trade_id")
    before = blue.counts()
    third = blue.bring("--trades", trades, "--legs", legs)
    assert (third["import_id"], third["trades_new"], third["legs_new"]) == ("", 0, 0)
    assert (third["trades_there"], third["legs_there"]) == (told["rows"], told["legs"])
    assert blue.counts() == before
    for row in blue.journal.rows("SELECT import_id FROM blue_imports WHERE state = 'COMPLETE'"):
        blue("forget", row["import_id"], "--reason", "the other way round")
    shuffled = tmp_path / "shuffled.csv"
    rest = lines[1:]
    random.Random(3).shuffle(rest)
    shuffled.write_text("".join([lines[0], *rest]))
    blue.bring("--trades", shuffled, "--legs", legs)
    assert (
        blue.journal.rows("SELECT trade_id, leverage, pnl, exit_ts_ms, legs FROM blue_trades ORDER BY trade_id") == kept
    )
    assert len(kept) == told["kept"]


@pytest.mark.parametrize(
    "place", ["jsonl.zst", "json", "parquet", "table", "tansu", pytest.param("kafka", marks=pytest.mark.kafka)]
)
def test_the_same_trades_from_any_place_are_there_already(blue, place, request):
    trades, _, told = blue.simulate("--dirt")
    blue.bring("--trades", trades)
    before = blue.counts()
    options = request.getfixturevalue("places")(place, trades)
    again = blue.bring(*options)
    assert (again["trades_read"], again["trades_new"]) == (told["rows"], 0)
    assert blue.counts() == before


@pytest.fixture
def places(journal, tmp_path, request):
    """The rows of a CSV file in another place, and the options that name it."""

    def put(place, trades):
        with trades.open(newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = ("leverage", "vel_div", "entry_price", "exit_price", "quantity", "capital_before", "pnl")
        typed = [
            {
                n: float(v) if n in numbers else int(v) if n.endswith("_ms") or n == "bars_held" else v
                for n, v in row.items()
            }
            for row in rows
        ]
        path = tmp_path / f"other.{place}"
        lines = [json.dumps(row) for row in typed]
        if place == "jsonl.zst":
            from backports import zstd

            path.write_bytes(zstd.compress("\n".join(lines).encode()))
        elif place == "json":
            path.write_text(json.dumps(typed, indent=1))
        elif place in ("tansu", "kafka"):
            broker = request.getfixturevalue(place)
            topic = broker.create_topic(partitions=2)
            for partition in range(2):
                produce(broker.bootstrap, topic, [line.encode() for line in lines[partition::2]], partition)
            return "--trades", f"topic:{topic}", "--bootstrap-servers", broker.bootstrap
        else:
            sql = f"SELECT * EXCEPT label FROM file('{trades}', CSVWithNames) SETTINGS precise_float_parsing = 1"
            if place == "parquet":
                journal.store.command(f"INSERT INTO FUNCTION file('{path}', Parquet) {sql}")
            else:
                journal.store.command(
                    "CREATE OR REPLACE TABLE trade_events ENGINE = MergeTree ORDER BY tuple() AS " + sql
                )
                address = journal._engine.address
                return ("--trades", "table:default.trade_events", "--clickhouse", address.url, "--user", address.user,
                        "--password", address.token)  # fmt: skip
        return "--trades", path

    return put


@pytest.fixture
def served(journal, tmp_path, monkeypatch):
    """served(URL) -> the flags of a command whose journal is that engine at an address, as a server would be."""
    monkeypatch.setenv("VIOLET_JOURNAL_PASSWORD", journal._engine.address.token)

    def flags(url):
        path = tmp_path / "server.toml"
        path.write_text(
            f'[reactor]\ndata = "{tmp_path / "here"}"\n[journal]\nurl = "{url}"\nuser = "{journal._engine.address.user}"\n'
        )
        return "--config", path

    return flags


def test_an_import_goes_to_a_server_and_is_looked_at_there(blue, served, tmp_path):
    trades, legs, told = blue.simulate("--dirt")
    flags = served(blue.journal._engine.address.url)
    brought = violet("blue", "import", "--trades", trades, "--legs", legs, *flags, "--json").json
    assert (brought["trades_new"], brought["legs_new"]) == (told["rows"], told["legs"])
    assert violet("blue", "look", blue.run_id, *flags, "--json").json == blue.look()
    again = blue.bring("--trades", trades, "--legs", legs)
    assert (again["import_id"], again["trades_there"]) == ("", told["rows"])
    assert violet("blue", "forget", brought["import_id"], "--reason", "to bring it once more", *flags).code == 0
    assert blue("look").code == 3
    assert not (tmp_path / "here").exists()


def test_two_imports_into_a_server_at_a_time_are_refused(blue, served):
    """From two machines, which share no lock."""
    trades, legs, _ = blue.simulate("--dirt", "--seed", 9)
    held = Beat(
        take(blue.journal.store, "blue import", "another machine"), lambda: connect(blue.journal._engine.address)
    )
    try:
        said = violet("blue", "import", "--trades", trades, "--legs", legs, *served(blue.journal._engine.address.url))
    finally:
        held.release()
    assert (said.code, "'blue import' is written to this journal by pid" in said.err) == (3, True), said.err
    assert blue.journal.value("SELECT count() FROM blue_imports WHERE state = 'COMPLETE'") == 0


@pytest.mark.parametrize(("lose", "says"), [(1, ""), (2, "fix: the same command again")])  # the driver asks twice
def test_a_server_that_loses_answers_has_every_row_once(blue, served, lose, says):
    trades, legs, told = blue.simulate("--dirt", "--seed", lose)
    proxy = Proxy(urlsplit(blue.journal._engine.address.url).port)
    try:
        proxy.lose = lose
        said = violet("blue", "import", "--trades", trades, "--legs", legs, *served(proxy.url))
        assert (said.code, proxy.lost, says in said.err) == (3 if says else 0, lose, True), said.err
    finally:
        proxy.go()
    blue.bring("--trades", trades, "--legs", legs)
    counted = "SELECT count() AS rows, countIf(reason = '') AS kept FROM blue_cleaning"
    assert blue.journal.rows(counted) == [{"rows": told["rows"], "kept": told["kept"]}]


def shift(path, ms):
    """The same trades, their times written in another zone."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in ("entry_ts_ms", "exit_ts_ms"):
            row[name] = int(row[name]) + ms
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def edit(path, find, put):
    path.write_text(path.read_text().replace(find, put))


BAD = {
    "empty": (lambda path: path.write_text(""), "was empty"),
    "columns": (lambda path: edit(path, "trade_id,asset", "id,asset"), "the row has no 'trade_id'"),
    "seconds": (lambda path: edit(path, "000,", ","), "looks like seconds"),
    "cut": (
        lambda path: path.write_text(path.read_text().rpartition("STAND-IN-")[0] + "STAND-IN-0"),
        "cells, the header",
    ),
    "zone": (lambda path: shift(path, 2 * 3_600_000), "shifted by -2 h: another time zone"),
    "mixed": (lambda path: edit(path, "STAND-IN-00003", "00003"), "must not be in one import"),
    "two trades of one id": (lambda path: edit(path, "STAND-IN-00003", "STAND-IN-00004"), "is used for two trades"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_and_nothing_of_it_is_imported(blue, fault):
    blue.bring("--trades", blue.simulate("--seed", "5", name="before")[0])
    for row in blue.journal.rows("SELECT import_id FROM blue_imports WHERE state = 'COMPLETE'"):
        blue("forget", row["import_id"], "--reason", "only its tables were wanted")
    trades, _, _ = blue.simulate()
    spoil, says = BAD[fault]
    spoil(trades)
    before = blue.counts()
    said = blue("import", "--trades", trades)
    assert (said.code, says in said.err) == (3, True), said.err
    assert "fix: " in said.err
    assert blue.counts() == before


def test_an_id_that_the_journal_knows_with_another_entry_is_refused_by_name(blue):
    blue.bring("--trades", blue.simulate()[0])
    before = blue.counts()
    said = blue("import", "--trades", blue.simulate("--plant", "dc-boost", name="other")[0])
    assert said.code == 3
    assert "is used for two trades: leverage is" in said.err
    assert "in the journal" in said.err
    assert blue.counts() == before


def test_a_crash_before_the_manifest_leaves_nothing_that_counts_and_the_same_command_mends_it(blue, monkeypatch):
    trades, legs, told = blue.simulate("--dirt")
    with monkeypatch.context() as patched:
        patched.setattr(intake, "_save", lambda store, manifest: (_ for _ in ()).throw(Refusal("the power went")))
        assert blue("import", "--trades", trades, "--legs", legs).code == 3
    assert blue.counts()[1] >= told["rows"]
    assert blue.journal.value("SELECT count() FROM blue_cleaning") == 0
    assert blue("look").code == 3
    blue.bring("--trades", trades, "--legs", legs)
    counted = "SELECT count() AS rows, countIf(reason = '') AS kept FROM blue_cleaning"
    assert blue.journal.rows(counted) == [{"rows": told["rows"], "kept": told["kept"]}]


def test_late_rows_and_late_legs_count_once_they_come(blue, tmp_path):
    trades, legs, told = blue.simulate()
    lines = trades.read_text().splitlines(keepends=True)
    late = tmp_path / "late.csv"
    late.write_text("".join([lines[0], *lines[5:9]]))
    trades.write_text("".join(lines[:5] + lines[9:]))
    leg_lines = legs.read_text().splitlines(keepends=True)
    few = tmp_path / "few.csv"
    few.write_text("".join(leg_lines[:2]))
    blue.bring("--trades", trades, "--legs", few)
    missing = "SELECT countIf(has(notes, 'LEGS_MISSING')) AS missing, count() AS kept FROM blue_trades"
    assert blue.journal.rows(missing) == [{"missing": told["trades"] - 5, "kept": told["trades"] - 4}]
    blue.bring("--trades", late)
    blue.bring("--legs", legs)
    assert blue.journal.rows(missing) == [{"missing": 0, "kept": told["trades"]}]


# -- why a trade has no decision -----------------------------------------------------------------------------------

# vel_div -> the bucket that it lies in
EDGES = {
    -0.0201: "-0.02 to -0.03", -0.0299: "-0.02 to -0.03", -0.03: "-0.03 to -0.04", -0.0399: "-0.03 to -0.04",
    -0.04: "-0.04 to -0.05", -0.0499: "-0.04 to -0.05", -0.05: "-0.05 to -0.06", -0.0599: "-0.05 to -0.06",
    -0.06: "-0.06 and below", -1e300: "-0.06 and below",
}  # fmt: skip
START_MS, IRP = records.START_MS, {"USDCUSDT": {"score": 1.0, "alignment": 1.0}}


@pytest.fixture(scope="module")
def gaps(journal, tmp_path_factory):
    """A run whose minutes 0 to 19 decide on BTCUSDT, 40 to 59 see no signal, 80 to 99 no asset, from 120 decide at every edge."""
    lines = [records.scan(n) for n in range(20)]
    lines += [records.scan(n, vel_div=0.0) for n in range(40, 60)]
    lines += [records.scan(n, irp=IRP) for n in range(80, 100)]
    lines += [records.scan(120 + n, vel_div=vel_div) for n, vel_div in enumerate(EDGES)]
    path = records.write(tmp_path_factory.mktemp("gaps") / "gaps.jsonl", lines)
    return journal.soak(scans=path, name="gaps").run_id


REAL = {
    "paired": (5.0, "BTCUSDT", "SHORT"),
    "paired late": (23.9, "BTCUSDT", "SHORT"),  # 4.9 minutes behind the last decision
    "paired tie": (7.5, "BTCUSDT", "SHORT"),
    "NO_SCAN by seconds": (24.01, "BTCUSDT", "SHORT"),
    "OTHER_ASSET": (10.0, "ETHUSDT", "SHORT"),
    "NOT_SHORT": (10.0, "BTCUSDT", "LONG"),
    "EXCLUDED": (10.0, "USDCUSDT", "SHORT"),
    "NO_SCAN": (30.0, "BTCUSDT", "SHORT"),
    "NO_SIGNAL": (50.0, "BTCUSDT", "SHORT"),
    "NO_ASSET": (90.0, "BTCUSDT", "SHORT"),
    "outside": (-10.0, "BTCUSDT", "SHORT"),
}


def test_every_trade_without_a_decision_says_why_and_how_far_the_nearest_is(blue, gaps, tmp_path):
    path = tmp_path / "real.jsonl"
    path.write_text("\n".join(
        json.dumps({"trade_id": name, "asset": asset, "side": side, "entry_ts_ms": int(START_MS + minute * MINUTE_MS),
                    "leverage": 1.0, "entry_price": 10.0, "quantity": 300.0, "capital_before": 25_000.0})
        for name, (minute, asset, side) in REAL.items()
    ))  # fmt: skip
    brought = blue.bring("--trades", path)
    assert brought["label"] == "REAL"
    seen = blue.look(run=gaps)
    assert seen["trust"].startswith("HOLD (a first look")
    assert seen["trades"] == {"n": 11, "inside": 10, "outside": 1, "short": 9}
    why = {
        r["trade_id"]: r["why"]
        for r in blue.journal.rows("SELECT trade_id, why FROM blue_unmatched WHERE run_id = {run:String}", run=gaps)
    }
    assert why == {name: name.split()[0] for name in REAL if name[0].isupper()}
    assert seen["colocation"]["within_5_min"] == 3
    gaps_ms = {
        r["trade_id"]: r["gap_ms"]
        for r in blue.journal.rows(
            "SELECT trade_id, gap_ms FROM blue_pairs WHERE is_colocated AND run_id = {run:String}", run=gaps
        )
    }
    assert gaps_ms == {"paired": 0, "paired late": -294_000, "paired tie": -30_000}
    far = {row["trade_id"]: row["gap_ms"] for row in seen["colocation"]["outside"]}
    assert far == {
        "NO_SCAN by seconds": -300_600,
        "NO_SCAN": -11 * MINUTE_MS,
        "NO_SIGNAL": -31 * MINUTE_MS,
        "NO_ASSET": 30 * MINUTE_MS,
    }
    assert (seen["universe"]["covered"], seen["universe"]["n"]) == (8, 10)
    (fraction,) = {row["notional_fraction"] for row in blue.journal.rows("SELECT notional_fraction FROM blue_trades")}
    assert fraction == pytest.approx(0.12)


@pytest.mark.slow
def test_trades_of_the_stand_in_and_real_ones_are_looked_at_apart(blue, tmp_path):
    path = tmp_path / "real.jsonl"
    path.write_text(json.dumps({"trade_id": "r1", "asset": "BTCUSDT", "entry_ts_ms": START_MS}))
    blue.bring("--trades", blue.simulate()[0])
    blue.bring("--trades", path)
    assert (blue.look()["label"], blue.look()["cleaning"]["rows"]) == ("REAL", 1)
    assert blue.look("--label", "STAND-IN")["leverage"]["identical"] > 30
    assert blue.look()["leverage"] == {
        "n": 0,
        **dict.fromkeys(("identical", "pearson", "max_abs_err", "share_above", "share_below", "ratio_median")),
    }


@pytest.mark.slow
def test_a_trade_that_names_its_stream_is_paired_within_it(blue, journal, tmp_path):
    lines = [
        records.scan(n, stream=stream, vel_div=vel_div)
        for n in range(10)
        for stream, vel_div in (("ng7", -0.03), ("ob2", -0.04))
    ]
    run = journal.soak(scans=records.write(tmp_path / "two.jsonl", lines), name="streams").run_id
    path = tmp_path / "real.jsonl"
    path.write_text("\n".join(
        json.dumps({"trade_id": stream or "any", "asset": "BTCUSDT", "entry_ts_ms": START_MS + 3 * MINUTE_MS, "scan_stream": stream})
        for stream in ("ng7", "ob2", "")
    ))  # fmt: skip
    blue.bring("--trades", path)
    found = journal.rows(
        "SELECT trade_id, stream, vel_div FROM blue_pairs WHERE run_id = {run:String} ORDER BY trade_id", run=run
    )
    assert [tuple(row.values()) for row in found] == [
        ("any", "ng7", -0.03),
        ("ng7", "ng7", -0.03),
        ("ob2", "ob2", -0.04),
    ]


def test_a_freqtrade_table_comes_in_by_a_mapping_from_a_file_and_from_clickhouse(blue, journal, gaps, tmp_path):
    rows = [
        shapes.freqtrade(n, f"2025-05-04 15:{33 + n}:00+00:00", is_short=n != 3, leverage=2.0, profit_abs=0.1 + 0.2)
        for n in range(5)
    ]
    mapping, file = tmp_path / "freqtrade.toml", tmp_path / "trades.json"
    mapping.write_text(shapes.FREQTRADE)
    file.write_text(json.dumps(rows))
    assert blue.bring("--trades", file, "--map", mapping)["trades_new"] == 5
    kept = journal.rows(
        "SELECT trade_id, label, asset, side, entry_ts_ms, leverage, pnl, bars_held FROM blue_trades ORDER BY trade_id"
    )
    assert [row["side"] for row in kept] == ["SHORT", "SHORT", "SHORT", "LONG", "SHORT"]
    assert {(row["label"], row["asset"], row["leverage"], row["pnl"], row["bars_held"]) for row in kept} == {
        ("REAL", "BTCUSDT", 2.0, 0.1 + 0.2, None)
    }
    assert blue.look(run=gaps)["colocation"] | {"outside": []} == {
        "n": 5, "within_5_min": 4, "share": 0.8, "gap_ms_median": 0, "outside": []
    }  # fmt: skip
    journal.store.command(
        "CREATE OR REPLACE TABLE trades ENGINE = Memory AS SELECT * REPLACE "
        "(toDateTime64(open_date, 3, 'Asia/Tokyo') AS open_date, toDateTime(close_date, 'UTC') AS close_date) "
        f"FROM file('{file}', JSONEachRow)"
    )
    address = journal._engine.address
    again = blue.bring("--trades", "table:trades", "--clickhouse", address.url, "--user", address.user,
                       "--password", address.token, "--map", mapping)  # fmt: skip
    assert (again["trades_read"], again["trades_new"]) == (5, 0)
    typo = tmp_path / "typo.toml"
    typo.write_text(shapes.FREQTRADE.replace('"open_date"', '"open_dat"'))
    refused = blue("import", "--trades", file, "--map", typo)
    assert (refused.code, "did you mean 'open_date'" in refused.err) == (3, True), refused.err


def test_a_bucket_begins_at_its_first_bound_and_figures_have_their_own_n(blue, journal, gaps, tmp_path):
    path = tmp_path / "edges.jsonl"
    path.write_text("\n".join(
        json.dumps({"trade_id": n, "asset": "BTCUSDT", "entry_ts_ms": START_MS + (120 + n) * MINUTE_MS, "leverage": 2.0 + n})
        for n in range(len(EDGES))
    ))  # fmt: skip
    blue.bring("--trades", path)
    seen = blue.look(run=gaps)
    buckets = {row["vel_div"]: row["n"] for row in seen["buckets"] if row["dc_status"] == "all"}
    assert buckets == Counter(EDGES.values()) | {"all": len(EDGES)}
    steps = {round(step["vel_div_from"], 4): step["n"] for step in seen["curve"]["steps"]}
    assert (steps[-0.02], steps[-0.06], sum(steps.values())) == (1, 2, len(EDGES))
    pairs = journal.rows("SELECT vel_div, recorded, journaled FROM blue_pairs WHERE run_id = {run:String}", run=gaps)
    errors = [abs(pair["recorded"] - pair["journaled"]) for pair in pairs]
    ratios = [pair["recorded"] / pair["journaled"] for pair in pairs]
    assert seen["leverage"] == {
        "n": len(EDGES), "identical": 0, "max_abs_err": max(errors), "ratio_median": median(ratios),
        "share_above": sum(r > 1.05 for r in ratios) / len(EDGES), "share_below": sum(r < 0.95 for r in ratios) / len(EDGES),
        "pearson": pytest.approx(correlation(*zip(*((p["recorded"], p["journaled"]) for p in pairs), strict=True))),
    }  # fmt: skip


def test_every_figure_of_a_look_ends_at_the_batches_that_were_complete_when_it_began(
    blue, journal, gaps, tmp_path, monkeypatch
):
    path = tmp_path / "real.jsonl"
    path.write_text("\n".join(
        json.dumps({"trade_id": n, "asset": "BTCUSDT", "entry_ts_ms": START_MS + n * MINUTE_MS, "leverage": 1.0}) for n in range(20)
    ))  # fmt: skip
    blue.bring("--trades", path)
    early = Scope(gaps, {0: 9})  # as if a soak went on behind offset 9 while one looks
    monkeypatch.setattr(Scope, "of", classmethod(lambda cls, store, run_id: early))
    seen = blue.look(run=gaps)
    assert seen["window"]["scans"] == 10
    assert {seen[name]["n"] for name in ("universe", "colocation", "leverage", "curve", "recovery")} == {10}
    assert seen["buckets"][-1]["n"] == sum(row["trades"] for row in seen["universe"]["assets"]) == 10
    assert seen["clock"]["matched"] == 15  # within 5 minutes of the first ten decisions
