"""From a foreign feed to a soak, by commands alone."""

import json
import shlex
from itertools import islice

import pytest

from reactor.log.archive import zstd
from reactor.standin import seeded
from tests import shapes
from tests.integration.soaking import ROOT, listing, violet
from tests.reactor.cli.test_scan import csv


@pytest.fixture
def nested(tmp_path):
    return shapes.nested(tmp_path)


def counts(journal, run_id):
    return {
        kind: journal.value(f"SELECT count() FROM {kind} WHERE run_id = {{run:String}}", run=run_id)
        for kind in ("decisions", "evaluations", "planes", "rejects")
    }


def theirs(folder):
    """The scans of a nested archive, as they came."""
    return list(map(json.loads, zstd.decompress((folder / "scan_archive.jsonl.zst").read_bytes()).splitlines()))


@pytest.mark.slow
def test_a_nested_archive_and_a_store_dump_become_a_soak(journal, nested, tmp_path):
    log = tmp_path / "log.jsonl.zst"
    made = violet("sequence", "--config", nested, "--out", log, "--json").json
    assert (made["records"], made["set_aside"], made["notes"]) == (280, 0, [])
    assert [s["records"] for s in made["sources"]] == [200, 20, 20, 20, 20]
    again = tmp_path / "again.jsonl.zst"
    assert violet("sequence", "--config", nested, "--out", again).code == 0
    assert again.read_bytes() == log.read_bytes()
    found = journal.soak(scans=log)
    assert counts(journal, found.run_id) == {"decisions": 124, "evaluations": 76, "planes": 80, "rejects": 0}
    assert "stand-in enrichment" not in found.summary["verdict_basis"]
    rows = journal.rows(
        "SELECT scan_id, ts_ms, vel_div, dc, asset FROM decisions WHERE run_id = {run:String} ORDER BY scan_id",
        run=found.run_id,
    )
    by_id = {each["scan_number"]: each for each in theirs(tmp_path)}
    for row in rows:
        each = by_id[row["scan_id"]]
        assert (row["ts_ms"], row["vel_div"]) == (round(each["timestamp"] * 1000), each["vel_div"])
        assert row["dc"] == (1.1 if each["dc"] == "yes" else 1.0)
        ranked = {s: r["rank"] for s, r in each["irp"].items() if s != "USDCUSDT"}
        assert row["asset"] == max(ranked, key=ranked.get)
    assert {row["scan_id"] for row in rows} == {n for n, each in by_id.items() if each["vel_div"] < -0.02}


@pytest.mark.slow
def test_the_guide_of_the_page_works_as_it_stands(journal, nested, tmp_path, monkeypatch):
    guide = (ROOT / "docs/feeds.md").read_text().partition("## A mapping file")[2]
    nested.write_text(guide.partition("```toml\n")[2].partition("```")[0])
    monkeypatch.chdir(tmp_path)
    commands = [line.partition("  #")[0] for line in guide.partition("```sh\n")[2].partition("```")[0].splitlines()]
    for words in map(shlex.split, commands[:2]):
        assert words[:2] == ["violet", "sequence"]
        said = violet(*words[1:])
        assert said.code == 0, said.err
    assert "irp: computed for 200 scans by the project's own stand-in" in said.out
    words = shlex.split(commands[2])
    assert words[:3] == ["violet", "soak", "--scans"]
    found = journal.soak(scans=tmp_path / words[3])
    # The irp needs 50 prices: no scan before the fiftieth decides.
    decide = sum(each["vel_div"] < -0.02 for each in theirs(tmp_path)[49:])
    expected = {"decisions": decide, "evaluations": 200 - decide, "planes": 20, "rejects": 0}
    assert counts(journal, found.run_id) == expected
    assert shlex.split(commands[3])[:2] == ["violet", "sql"]
    assert journal.violet(*shlex.split(commands[3])[1:3], "--run", found.run_id).code == 0


@pytest.mark.slow
def test_a_table_of_signals_becomes_a_soak_whose_enrichment_is_named(journal, tmp_path):
    config, log = shapes.signals(tmp_path), tmp_path / "log.jsonl"
    made = violet("sequence", "--config", config, "--enrich", "irp,dc", "--out", log, "--json").json
    assert (made["records"], made["enriched"]) == (180, {"irp": 180, "dc": 180})
    assert made["sources"][0]["passed_over"] == 80
    found = journal.soak(scans=log)
    assert "stand-in enrichment" in found.summary["verdict_basis"]
    assert "enrichment" not in found.summary["standin_lanes"]
    decided = journal.rows(
        "SELECT scan_id, asset FROM decisions WHERE run_id = {run:String} ORDER BY ts_ms", run=found.run_id
    )
    assert len(decided) > 50
    assert {row["asset"] for row in decided} <= {"BTCUSDT", "ETHUSDT", "SOLUSDT"}


def test_klines_and_planes_of_another_feed_become_a_soak(journal, tmp_path):
    """Bars hold no vel_div: `violet scan` computes one, and sequence puts another feed's planes between its scans."""
    minutes = list(islice(seeded.minutes(), 140))
    csv(tmp_path / "klines.csv", minutes)
    first = minutes[0].ts_ms
    rates = [f"BTCUSDT,{first + 60_000 * n},0.0001" for n in range(0, 140, 40)]
    (tmp_path / "funding.csv").write_text("\n".join(["symbol,funding_time_ms,funding_rate", *rates]) + "\n")
    made = violet(
        "scan", "--klines", tmp_path / "klines.csv", "--funding", tmp_path / "funding.csv",
        "--out", tmp_path / "bars.jsonl",
    )  # fmt: skip
    assert made.code == 0, made.err
    (tmp_path / "meta.csv").write_text(
        "at,boost\n" + "".join(f"{(first + 60_000 * n) // 1000},{1 + n / 1000}\n" for n in range(60, 140, 10))
    )
    config = tmp_path / "map.toml"
    config.write_text(
        'stream = "ng7"\n[[source]]\nfeeds = "meta"\nfile = "meta.csv"\n[source.fields]\n'
        'ts_ms = { path = "at", unit = "s" }\nboost = "boost"\n'
        '[[source]]\nfeeds = "scan"\nfile = "bars.jsonl"\nwhere = { kind = "scan" }\n[source.fields]\n'
        + "".join(f'{n} = "{n}"\n' for n in ("ts_ms", "scan_id", "vel_div", "prices", "irp", "dc_status"))
        + '"context.scanner" = "context.scanner"\n'
    )
    log = tmp_path / "log.jsonl.zst"
    summary = violet("sequence", "--config", config, "--out", log, "--json").json
    assert [s["records"] for s in summary["sources"]] == [8, 90]
    found = journal.soak(scans=log)
    assert "stand-in scanner" in found.summary["verdict_basis"]
    rows = journal.rows(
        "SELECT ts_ms, meta_boost FROM evaluations WHERE run_id = {run:String} UNION ALL "
        "SELECT ts_ms, meta_boost FROM decisions WHERE run_id = {run:String} ORDER BY ts_ms",
        run=found.run_id,
    )
    assert len(rows) == 90
    for row in rows:
        minute = (row["ts_ms"] - first) // 60_000
        assert row["meta_boost"] == (1 + min(minute, 139) // 10 * 10 / 1000 if minute >= 60 else 1.0)


WRONG = {
    'unit = "s"': ('unit = "ms"', "scans line 1: ts_ms: 1746372780.956 ms is not a time", 'fix: unit = "s"'),
    'unit = "ns"': ('unit = "us"', "acb line", 'looks like nanoseconds; fix: unit = "ns"'),
    ', zone = "UTC"': ("", "posture line", 'has no time zone; fix: zone = "UTC"'),
    '"vel_div"\n': ('"veldiv"\n', "scans line 1: vel_div: the row has no 'veldiv'", "did you mean 'vel_div'?"),
    'score = "rank"': (
        'score = "score"',
        "scans line 1: irp: none of its entries fits, the first is",
        "fix: ",
    ),
    '"value.score"': ('"value.beta"', "esof line", "the row has no 'value.beta'; it has"),
    "value.agreement": ("value.posture", "ob line", "the row has no 'value.posture'"),
    '"windows.750.tracking.lambda_velocity"': ('"windows.75"', "scans", "fields.w750"),
    'no = "NEUTRAL"': ('nein = "NEUTRAL"', "scans line", "dc_status: 'no' is not among `values`"),
}


@pytest.mark.parametrize("right", WRONG)
def test_a_wrong_mapping_is_caught_by_the_dry_run_with_the_line_and_the_fix(nested, tmp_path, right):
    wrong, where, fix = WRONG[right]
    nested.write_text(nested.read_text().replace(right, wrong, 1))
    before = listing(tmp_path)
    looked = violet("sequence", "--config", nested, "--dry-run")
    source, _, rest = where.partition(" ")
    assert looked.code == 3
    said = looked.out.partition(f"{source}: ")[2]
    assert rest in said
    assert fix in said
    refused = violet("sequence", "--config", nested, "--out", tmp_path / "log.jsonl")
    assert refused.code == 3
    assert fix in refused.err
    assert listing(tmp_path) == before


def test_the_dry_run_shows_the_first_records_and_what_is_unmapped(nested, tmp_path):
    before = listing(tmp_path)
    looked = violet("sequence", "--config", nested, "--dry-run")
    assert looked.code == 0
    for said in (
        '2025-05-04T15:33:00Z  {"v":1,"kind":"scan","stream":"ng7","scan_id":1000,"ts_ms":1746372780956,"vel_div":-0.03',
        "unmapped: regime.label (such as choppy-bearish)",
        "unmapped: value.beta (such as 0.2)",
        "100 rows looked at: 20 map, 0 do not, 80 passed over",
    ):
        assert said in looked.out
    found = violet("sequence", "--config", nested, "--dry-run", "--json").json
    assert found["sources"][0]["unmapped"] == {"windows.750.tracking.lambda_max": 3.2, "regime.label": "choppy-bearish"}
    assert listing(tmp_path) == before


def test_rows_that_do_not_fit_are_set_aside_whole_and_counted(tmp_path):
    config = shapes.signals(tmp_path)
    table = tmp_path / "signals.csv"
    lines = table.read_text().splitlines()
    lines[100] = lines[100].replace("2025", "1925")
    lines[101] = "junk"
    table.write_text("\n".join(lines) + "\n")
    log, aside = tmp_path / "log.jsonl", tmp_path / "aside.jsonl"
    refused = violet("sequence", "--config", config, "--out", log)
    assert refused.code == 3
    assert "source 'scan', signals.csv line 101: ts_ms: '1925-05-04" in refused.err
    assert "--set-aside FILE" in refused.err
    assert not log.exists()
    made = violet("sequence", "--config", config, "--out", log, "--set-aside", aside, "--json").json
    assert (made["records"], made["set_aside"]) == (180, 2)
    kept = [json.loads(line) for line in aside.read_text().splitlines()]
    assert [(k["source"], k["line"]) for k in kept] == [("scan", 101), ("scan", 102)]
    assert kept[0]["raw"] == lines[100]


def test_parquet_goes_in_beside_the_rest(journal, tmp_path):
    config = shapes.signals(tmp_path, minutes=40, warmup=5)
    log, same = tmp_path / "csv.jsonl", tmp_path / "parquet.jsonl"
    assert violet("sequence", "--config", config, "--out", log).code == 0
    place = f"file('{tmp_path}/signals.csv', CSVWithNames, 'date String, pair String, close Float64, vel_div String')"
    for _ in journal.store.blocks(
        f"INSERT INTO FUNCTION file('{tmp_path}/signals.parquet', Parquet) SELECT toDateTime64(left(date, 19), 3, 'UTC') "
        f"AS date, pair, close, toFloat64OrNull(vel_div) AS vel_div FROM {place}"
    ):
        pass
    config.write_text(config.read_text().replace("signals.csv", "signals.parquet"))
    made = violet("sequence", "--config", config, "--out", same)
    assert made.code == 0, made.err
    assert same.read_bytes() == log.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "x.jsonl", "--enrich", "iron"), "--enrich must be of irp, dc, was 'iron'"),
        ((), "--out must name the archive"),
        (("--out", "x.txt"), "must end in .jsonl"),
        (("--out", "map.toml.jsonl", "--config", "none.toml"), "cannot be read"),
    ],
)
def test_wrong_usage_is_refused(nested, tmp_path, arguments, said):
    places = [tmp_path / each if "." in each else each for each in arguments]
    refused = violet("sequence", "--config", nested, *places)
    assert refused.code == 3
    assert said in refused.err
    nested.write_text(nested.read_text().replace("store_dump", "gone"))
    assert "gone.jsonl is no file" in violet("sequence", "--config", nested, "--out", tmp_path / "x.jsonl").err
