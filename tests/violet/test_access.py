"""An open journal says what the journal holds, and its decisions are what the lanes as functions give."""

import subprocess
import sys
from datetime import UTC

import numpy as np
import pytest

import violet
from journal.judge.explain import explain
from journal.keep import export
from journal.ledger.run import listed
from lanes.code import Bound
from tests.integration.soaking import ROOT
from tests.strategies import START_MS, encode, plane, planes, scan
from tests.written import every_kind

LANES = ("base", "dc", "acb", "ob", "esof")


def lines():
    """Scans of every strength under planes that move, some of which decide, beside a plane of each posture."""
    yield from map(encode, planes(START_MS))
    for n in range(60):
        at = START_MS + n * 60_000
        if n % 7 == 0:
            yield encode(plane("acb", {"boost": 1.0 + n / 30}, ts_ms=at))
            yield encode(plane("esof", {"mult": 1.0 - n / 120}, ts_ms=at))
            yield encode(plane("posture", {"posture": "STALKER" if n % 2 else "APEX"}, ts_ms=at))
        yield encode(scan(scan_id=n, ts_ms=at, vel_div=-0.001 * n, dc_status=("CONFIRM", "NEUTRAL")[n % 2]))


@pytest.fixture(scope="module")
def run(journal):
    """A run of many batches."""
    from tests.written import begin

    made = begin(journal.store)
    some = list(lines())
    for at in range(0, len(some), 10):
        made.append(some[at : at + 10])
    return made


@pytest.fixture(scope="module")
def opened(journal):
    with violet.open(journal.data) as found:
        yield found


def test_rows_are_those_of_the_views(opened, run, journal):
    for view in export.VIEWS:
        asked = f"SELECT * FROM {view} WHERE run_id = {{run:String}} ORDER BY partition, log_offset"
        rows = journal.store.rows(asked, {"run": run.run_id})
        found = getattr(opened, view)(run.run_id).rows()
        times = [(mine.pop("ts"), theirs.pop("ts")) for mine, theirs in zip(found, rows, strict=True)]
        assert found == rows
        assert all(mine == theirs.replace(tzinfo=UTC) for mine, theirs in times)
    assert len(opened.decisions(run.run_id).rows()) > 30


def test_a_long_run_comes_in_parts_of_which_none_is_large(opened, run, monkeypatch):
    whole = opened.scans(run.run_id).arrow()
    monkeypatch.setattr(export, "SPAN", 4)
    monkeypatch.setattr(export, "PART_ROWS", 8)
    parts = list(opened.scans(run.run_id).batches())
    assert len(parts) > 5
    assert max(part.num_rows for part in parts) <= 8
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()


def test_columns_can_be_chosen_and_an_empty_answer_has_them(opened, journal, run):
    from tests.written import begin

    chosen = opened.decisions(run.run_id, columns=["asset", "bound"])
    assert chosen.arrow().column_names == ["asset", "bound"]
    assert set(chosen.arrow()["bound"].to_pylist()) <= {bound.name for bound in Bound}
    empty = begin(journal.store)
    assert opened.decisions(empty.run_id, columns=["asset"]).arrow().column_names == ["asset"]
    assert opened.decisions(empty.run_id, columns=["asset"]).rows() == []


def test_the_runs_are_those_of_the_command(opened, run, journal):
    (mine,) = [row for row in listed(journal.store) if row["run_id"] == run.run_id]
    found = opened.runs(run.run.name).rows()
    assert [row["run_id"] for row in found] == [run.run_id]
    assert {name: found[0][name] for name in ("records", "decisions", "state")} == {
        name: mine[name] for name in ("records", "decisions", "state")
    }


def test_a_lane_has_its_value_and_what_explains_it(opened, run):
    found = opened.lane("acb", run.run_id).arrow()
    assert found.column_names[-4:] == ["value", "acb_boost", "meta_boost", "mc_scale"]
    scans = opened.scans(run.run_id).arrow()
    assert found["value"].to_pylist() == scans["acb"].to_pylist()


def test_the_functions_give_the_bits_of_the_journal(opened, run):
    table = opened.scans(run.run_id).arrow()
    row = {name: table[name].to_numpy() for name in table.column_names}
    assert violet.lanes.base(row["vel_div"]).tolist() == row["base"].tolist()
    assert violet.lanes.dc(row["dc_status"]).tolist() == row["dc"].tolist()
    assert violet.lanes.acb(boost=row["acb_boost"], meta=1.0, mc=1.0).tolist() == row["acb"].tolist()
    stalker, capital = row["posture"] == "STALKER", row["capital_usd"]
    sized = violet.lanes.fanin(*(row[lane] for lane in LANES), stalker=stalker, capital_usd=capital)
    for name, value in sized._asdict().items():
        assert value.tolist() == row[name].tolist(), name
    assert {*sized.bound} > {"PRODUCT", "STALKER"}
    one = violet.lanes.fanin(*(row[lane][40] for lane in LANES), stalker=stalker[40], capital_usd=capital[40])
    assert one == tuple(value[40] for value in sized)


def test_an_explanation_is_that_of_the_command(opened, run, journal):
    found = opened.explain(40, run.run_id)
    (told,) = explain(journal.store, run.run_id, "40")
    assert dict(found) == {"run_id": run.run_id, **told}
    assert opened.explain(f"@{found['log_offset']}", run.run_id)["scan_id"] == 40
    assert "esof_fanin" in found._repr_html_()
    with pytest.raises(violet.Refusal, match="has no outcome for 999"):
        opened.explain(999, run.run_id)


def test_a_summary_is_shown_as_a_card(opened, run):
    found = opened.summary(run.run_id)
    assert found["decisions"] == len(opened.decisions(run.run_id).rows())
    assert found["verdict"] in found._repr_html_()
    assert run.run_id in found._repr_html_()


def test_sql_passes_the_gate(opened, run):
    asked = opened.sql("SELECT count() AS n FROM decisions WHERE run_id = {run:String} AND scan_id < {most:Int64}",
                       run=run.run_id, most=30)  # fmt: skip
    assert asked.rows() == [{"n": 9}]
    assert opened.saved("clamps", run=run.run_id).arrow().num_rows > 1
    for query, words in (
        ("DROP TABLE violet_runs", "read-only gate"),
        ("SELECT 1 FORMAT CSV", "leave FORMAT out"),
        ("SELECT nope FROM decisions WHERE run_id = ''", "Unknown expression"),
    ):
        with pytest.raises(violet.Refusal, match=words):
            opened.sql(query).arrow()
    with pytest.raises(violet.Refusal, match="raise max_rows"):
        opened.sql("SELECT number FROM numbers(100)", max_rows=10).arrow()


def test_a_query_over_several_runs_warns(opened, run, journal):
    from tests.written import begin

    begin(journal.store).append(every_kind())
    with pytest.warns(UserWarning, match="names no run and reads the rows of all"):
        opened.sql("SELECT count() AS n FROM decisions").rows()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda j: j.decisions("nosuch").arrow(), "no run 'nosuch'"),
        (lambda j: j.lane("x").arrow(), "no lane 'x'"),
        (lambda j: j.decisions(columns=["a b"]).arrow(), "must be a name"),
        (lambda _: violet.open("/nonexistent/data"), "holds no journal"),
    ],
)
def test_a_refusal_names_the_rule_and_the_fix(opened, ask, words):
    with pytest.raises(violet.Refusal, match=rf"{words}.*fix: "):
        ask(opened)


def test_the_import_loads_nothing_heavy():
    code = "import sys, violet; print({'numpy', 'pyarrow', 'pandas', 'numba', 'pydantic', 'msgspec'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_the_package_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "violet", "--help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "violet sql --saved" in done.stdout


def test_a_signal_that_is_no_number_is_no_size():
    sized = violet.lanes.fanin([1.0, np.nan])
    assert sized.bound.tolist() == ["PRODUCT", ""]
    assert np.isnan(sized.leverage).tolist() == [False, True]
