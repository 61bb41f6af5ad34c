"""`violet compare` as people run it: a verdict of a valid comparison, and none of another."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from tests.journal.blue.agreed import at, minutes, sized, soaked, traded

WIDE = ("--margin-leverage", "4", "--margin-notional", "1")
MEASURES = ("unpaired", "trade_delta", "leverage", "notional", "state_machine", "unclassified", "unattributable")


@pytest.fixture(scope="module")
def known(journal):
    """A run of 60 minutes with a trade every fourth, all as it sized them; then 10 with a trade of another leverage."""
    first = minutes()
    written = soaked(journal.store, first, 70)
    odd = {"leverage": 4.0, "notional_usd": 20_000.0, "esof": 0.5}
    closed = (sized(minute, exit_ts_ms=at(minute + 3)) for minute in range(first, first + 56, 4))
    last = sized(first + 56, exit_ts_ms=at(first + 64))
    traded(journal.store, *closed, last, sized(first + 65, exit_ts_ms=at(first + 69), **odd))
    return first, written


@pytest.fixture
def compare(journal, known, tmp_path):
    """compare(MINUTE, MINUTE, *terms) -> what `violet compare` said of a window under these terms."""
    first, written = known

    def ask(start, end, *terms, options=("--json",), name="c"):
        file = tmp_path / f"{name}.json"
        span = [datetime.fromtimestamp(at(first + minute) / 1e3, UTC).isoformat() for minute in (start, end)]
        about = (written.run_id, "--against", "blue")
        new = ("-o", file, "--follows", "none", "--from", span[0], "--to", span[1])
        made = journal.violet("contract", "new", *about, *new, *terms)
        assert made.code == 0, made.err
        return journal.violet("compare", *about, "--contract", file, *options)

    return ask


def kept(journal, found):
    (row,) = journal.rows("SELECT * FROM compares WHERE compare_id = {id:String}", id=found["compare_id"])
    return row, journal.value(
        "SELECT count() FROM compare_pairs WHERE compare_id = {id:String}", id=found["compare_id"]
    )


def test_equal_sides_pass_and_every_figure_is_that_of_the_journal(compare, journal):
    said = compare(0, 60, *WIDE)
    assert said.code == 0, said.out + said.err
    found = said.json
    assert (found["verdict"], found["is_over"], found["label"]) == ("PASS", True, "REAL")
    assert {each["name"]: each["verdict"] for each in found["measures"]} == dict.fromkeys(MEASURES, "PASS")
    pairs = {"n": 15, "by_id": 15, "ambiguous": 0, "clock_offset_ms": 0}
    assert found["figures"]["pairs"] == found["figures"]["pairs"] | pairs
    lanes = {row["lane"]: (row["n"], row["identical"]) for row in found["figures"]["lanes"]}
    assert lanes == dict.fromkeys(("base", "dc", "acb", "ob", "esof"), (15, 15))
    row, count = kept(journal, found)
    assert (json.loads(row["figures"]), json.loads(row["measures"]), count) == (found["figures"], found["measures"], 15)
    again = compare(0, 60, *WIDE, name="again").json
    assert again["compare_id"] == found["compare_id"]
    assert kept(journal, found) == (row, count)


def test_too_few_pairs_go_on_and_say_how_many_are_needed(compare):
    said = compare(0, 60)
    assert said.code == 2
    found = said.json
    assert (found["verdict"], found["needed_pairs"]) == ("HOLD", 768)
    assert found["needed_days"] == pytest.approx(768 / 15 / 24)
    told = compare(0, 60, options=(), name="d").out
    assert told.splitlines()[-2] == "HOLD (go on); pairs still needed: 768, days at this pace: 2.1, REAL trades"


def test_one_pair_of_another_size_is_named_with_its_lane_and_no_verdict_is_made_of_it_alone(compare, journal):
    found = compare(0, 70, *WIDE).json
    (row,) = journal.rows(
        "SELECT * FROM compare_pairs WHERE compare_id = {id:String} AND NOT is_identical", id=found["compare_id"]
    )
    assert (row["journaled"], row["recorded"], row["effective"]["esof"]) == (
        8.0,
        4.0,
        pytest.approx(0.6931471805599453),
    )
    assert [(each["n"], each["usd"]) for each in found["figures"]["classes"]] == [(1, 20_000.0)]
    assert {row["lane"]: row["n"] - row["identical"] for row in found["figures"]["lanes"]}["esof"] == 1


@pytest.fixture(scope="module")
def logic(journal):
    """A run of 20 minutes beside two trades, of which BLUE sized one otherwise from planes that it recorded."""
    first = minutes()
    written = soaked(journal.store, first)
    seen = json.dumps({"esof": {"value": {"mult": 1.0}, "ts_ms": at(first)}})
    odd = {"leverage": 4.0, "notional_usd": 20_000.0, "esof": 0.5, "planes": seen}
    traded(journal.store, sized(first, exit_ts_ms=at(first + 4)), sized(first + 5, exit_ts_ms=at(first + 19), **odd))
    return written


@pytest.mark.parametrize(
    ("expires", "code", "found"), [(None, 1, "FAIL"), ("2025-01-01", 1, "FAIL"), ("2026-01-01", 0, "PASS")]
)
def test_a_difference_of_logic_fails_unless_the_contract_knows_it_and_bears_it_on_that_day(
    journal, logic, tmp_path, expires, code, found
):
    known = (
        f'[[allowed]]\nkind = "LOGIC"\nlane = "esof"\nreason = "known"\nexpires = "{expires}"\n'
        if expires
        else "allowed = []"
    )
    (tmp_path / "allow.toml").write_text(known)
    about = (logic.run_id, "--against", "blue")
    wide = (
        "--margin-leverage",
        "9",
        "--margin-notional",
        "2",
        "--follows",
        "none",
        "--allow",
        tmp_path / "allow.toml",
    )
    made = journal.violet("contract", "new", *about, "-o", tmp_path / "c.json", *wide)
    assert made.code == 0, made.err
    said = journal.violet("compare", *about, "--contract", tmp_path / "c.json", "--json")
    assert (said.code, said.json["verdict"]) == (code, found)
    (row,) = said.json["figures"]["classes"]
    assert (row["class"], row["class_group"], row["class_where"], row["n"]) == ("LOGIC", "STATE_MACHINE", ["esof"], 1)
    counted = {each["name"]: each["figure"] for each in said.json["measures"]}
    assert counted["state_machine"] == 1 - row["allowed"] == code


def test_a_window_that_is_not_over_has_a_verdict_so_far_and_is_no_cycle_of_trust(journal, tmp_path):
    first = minutes()
    written = soaked(journal.store, first)
    written.set(state="RUNNING")
    held = ((first, 4), (first + 5, 14), (first + 25, 4))  # the run has not come to the last one
    traded(journal.store, *(sized(minute, exit_ts_ms=at(minute + bars)) for minute, bars in held))
    about = (written.run_id, "--against", "blue")
    until = datetime.fromtimestamp(at(first + 60) / 1e3, UTC).isoformat()
    new = ("-o", tmp_path / "c.json", "--to", until, "--follows", "none")
    assert journal.violet("contract", "new", *about, *new).code == 0
    found = journal.violet("compare", *about, "--contract", tmp_path / "c.json", "--json").json
    assert (found["figures"]["trades"], found["figures"]["pairs"]["n"]) == (2, 2)
    hours = found["figures"]["frequency"]["hours"]
    assert hours == pytest.approx(19 / 60, abs=0.001)  # not those of the whole window
    assert found["needed_days"] == pytest.approx(found["needed_pairs"] / 2 * hours / 24)
    said = journal.violet("compare", *about, "--contract", tmp_path / "c.json")
    assert said.code == 2
    assert said.out.splitlines()[-2].endswith("REAL trades, so far: the window is not over")
    assert journal.value("SELECT count() FROM violet_trust WHERE run_id = {run:String}", run=written.run_id) == 0
    written.set(state="ENDED")
    assert "INVALID_COMPARISON: window" in journal.violet("compare", *about, "--contract", tmp_path / "c.json").out


def test_an_invalid_comparison_shows_no_figure_keeps_none_and_offers_what_is_valid(compare, journal, tmp_path):
    offered = tmp_path / "part.json"
    said = compare(-30, 60, *WIDE, options=("--json", "--offer", offered, "--artefacts", tmp_path / "files"))
    assert said.code == 3
    found = said.json
    assert found["verdict"] == "INVALID_COMPARISON"
    assert not found.keys() & {"figures", "measures"}
    assert [each["name"] for each in found["clauses"] if not each["holds"]] == ["window"]
    row, count = kept(journal, found)
    assert (row["verdict"], row["figures"], row["measures"], count) == ("INVALID", "{}", "[]", 0)
    assert {path.name for path in (tmp_path / "files").iterdir()} == {"parity_contract.json", "parity_aggregate.json"}
    again = journal.violet("compare", row["run_id"], "--against", "blue", "--contract", offered, "--json")
    assert (again.code, again.json["window"]) == (0, found["valid_window"])
    told = compare(-30, 60, *WIDE, options=(), name="t")
    assert told.code == 3
    assert told.out.splitlines()[-2].startswith("INVALID_COMPARISON: window; the longest valid part is ")
    assert "leverage" not in told.out


def test_the_artefacts_are_the_contract_the_pairs_the_figures_and_the_differences(compare, tmp_path):
    folder = tmp_path / "files"
    found = compare(0, 70, *WIDE, options=("--json", "--artefacts", folder)).json
    assert json.loads((folder / "parity_aggregate.json").read_text()) | {"trust": found["trust"]} == found
    assert (folder / "parity_contract.json").read_bytes() == (tmp_path / "c.json").read_bytes()
    rows = list(csv.DictReader(io.StringIO((folder / "parity_compare.tsv").read_text()), delimiter="\t"))
    assert len(rows) == 16
    assert [(row["recorded"], row["journaled"]) for row in rows if row["class"]] == [("4.0", "8.0")]
    assert json.loads((folder / "parity_mismatch_breakdown.json").read_text())["classes"] == found["figures"]["classes"]


def test_a_contract_that_this_journal_does_not_have_is_refused(journal, compare, tmp_path):
    assert compare(0, 60).code == 2
    file = tmp_path / "c.json"
    file.write_bytes(file.read_bytes().replace(b'"leverage":0.1', b'"leverage":0.9'))
    said = journal.violet("compare", "--against", "blue", "--contract", file)
    assert (said.code, "differs from it in margins.leverage" in said.err) == (3, True)
    assert journal.violet("compare", "--against", "blue", "--contract", tmp_path / "none.json").code == 3


def test_trust_and_status_say_where_it_stands_and_the_ledger_goes_out_as_lines(compare, journal, known, tmp_path):
    made = [
        compare(0, 20, *WIDE, name="a").json,
        compare(0, 60, *WIDE, name="b").json,
        compare(-25, 60, *WIDE, name="c").json,
    ]
    name = known[1].run.name
    said = journal.violet("trust", "--name", name, "--export", tmp_path / "trust.jsonl", "--json")
    (stands,) = said.json
    assert (said.code, stands["status"], stands["words"]) == (2, "HOLD", made[-1]["trust"])
    again = journal.violet("trust", "--name", name, "--export", tmp_path / "trust.jsonl")
    assert (again.code, "must not exist yet; fix: name another output, or --force" in again.err) == (3, True)
    lines = [json.loads(line) for line in (tmp_path / "trust.jsonl").read_text().splitlines()]
    entered = {line["compare_id"] for line in lines}
    assert {made[0]["compare_id"], made[1]["compare_id"]} <= entered
    assert made[2]["compare_id"] not in entered
    status = journal.violet("status", known[1].run_id, "--json").json[0]["blue"]
    assert (status["compare"]["words"], status["trust"]) == ("INVALID_COMPARISON: window", stands["words"])
    shown = journal.violet("status", known[1].run_id).out
    assert f"BLUE  INVALID_COMPARISON: window, REAL trades; trust {stands['words']}" in shown
    told = journal.violet("trust", "--name", name)
    assert told.out.splitlines()[0] == f"{name}: {stands['words']}"
    assert journal.violet("trust", "--name", "nobody").code == 3
