"""What the page is told is what SQL says: windows, whole-run figures, outcomes; while a run goes on and after."""

import json
import os
import re
import signal
from datetime import UTC, timedelta
from urllib.parse import urlsplit

import pytest

from journal.engine.address import WRITER, read
from journal.judge import page as sql_page
from journal.keep.retention import prune
from journal.store import JournalAway, connect
from lanes.registry import LANES
from reactor.web import poller
from tests.integration import fixtures, records
from tests.integration.soaking import Journal, ended, free_of, fresh, interrupted, processes, soak, until, violet
from tests.webpage import Client, page

journal = fixtures.own_journal  # the newest run is one of these
EACH = [lane.name for lane in LANES]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def soaked(journal, mixed):
    return journal.soak(scans=mixed)


@pytest.fixture(scope="module")
def both(journal, session_tansu, two_streams):
    """A soak of a topic of two partitions."""
    topic = session_tansu.create_topic(partitions=2)
    broker = ("--bootstrap-servers", session_tansu.bootstrap, "--topic", topic)
    assert violet("publish", "--scans", two_streams, *broker).code == 0
    return journal.soak(bootstrap_servers=session_tansu.bootstrap, topic=topic, until="end")


@pytest.fixture(scope="module")
def client(journal, soaked):
    with page(journal.data) as made:
        yield Client(made)


@pytest.fixture(scope="module")
def reading(journal):
    """The journal by the reader's login, which the page has too."""
    with connect(journal.reader) as store:
        yield store


@pytest.fixture(scope="module")
def told(client, soaked):
    return client.told("pulse", "window", "whole", run=soaked.run_id)


def test_counts_and_verdict_are_those_of_the_summary(told, soaked):
    pulse, whole = told["pulse"], told["whole"]
    names = ("records", "decisions", "evaluations", "planes", "rejects")
    assert {name: pulse[name] for name in names} == {name: soaked.summary[name] for name in names}
    names = ("run_id", "verdict", "coverage", "time_coverage", "lost", "doubled", "corrupt", "orders")
    assert {name: whole[name] for name in names} == {name: soaked.summary[name] for name in names}
    assert whole["basis"].startswith(soaked.summary["verdict_basis"].partition(";")[0])
    assert (whole["compare"], whole["trust"][:18]) == (None, "HOLD (needs 3 more")
    assert (whole["mode"], whole["trading_mode"], whole["is_trading_allowed"]) == ("ENDED", "DARK", False)


def test_the_lanes_figures_are_those_of_lane_readings(told, journal, soaked):
    sql = (
        "SELECT lane, count() AS n, min(value) AS low, max(value) AS high, "
        "quantilesExactLow(0.05, 0.25, 0.5, 0.75, 0.95)(value) AS quantiles, argMax(value, log_offset) AS last "
        "FROM lane_readings WHERE run_id = {run:String} GROUP BY lane"
    )
    rows = {row["lane"]: row for row in journal.rows(sql, run=soaked.run_id)}
    assert set(rows) == set(EACH) == set(told["window"]["distribution"])
    for lane, row in rows.items():
        shown = told["window"]["distribution"][lane]
        assert (shown["n"], shown["min"], shown["max"]) == (row["n"], row["low"], row["high"])
        assert shown["quantiles"] == list(row["quantiles"])
        assert sum(shown["counts"]) == row["n"]
        assert told["window"]["latest"][lane] == row["last"]
        width = (row["high"] - row["low"]) / sql_page.BINS
        first = journal.value(
            "SELECT count() FROM lane_readings WHERE run_id = {run:String} AND lane = {lane:String} AND value < {to:Float64}",
            run=soaked.run_id, lane=lane, to=row["low"] + width,
        )  # fmt: skip
        assert abs(shown["counts"][0] - first) <= 1  # a value may lie on the very edge


def test_the_lines_hold_every_scan_in_its_place(told, journal, soaked):
    series = told["window"]["series"]
    scans = soaked.summary["decisions"] + soaked.summary["evaluations"]
    assert (sum(series["scans"]), sum(series["decisions"])) == (scans, soaked.summary["decisions"])
    assert len(series["ts_ms"]) <= sql_page.PLACES
    assert series["ts_ms"] == sorted(series["ts_ms"])
    for lane in EACH:
        low, mean, high = series["lines"][lane]
        assert all(a <= b <= c for a, b, c in zip(low, mean, high, strict=True))
        spread = told["window"]["distribution"][lane]
        assert (min(low), max(high)) == (round(spread["min"], 6), round(spread["max"], 6))
    (row,) = journal.rows(
        "SELECT max(raw) AS raw, max(cap) AS cap FROM (SELECT run_id, raw, cap FROM decisions UNION ALL "
        "SELECT run_id, raw, cap FROM evaluations) WHERE run_id = {run:String}", run=soaked.run_id,
    )  # fmt: skip
    assert {name: max(series["lines"][name][0]) for name in row} == {name: round(row[name], 6) for name in row}


def test_a_window_is_its_records_and_no_more(reading, journal, soaked):
    run, progress = journal.run(soaked.summary["name"]), sql_page.Progress()
    progress.read(reading, run.run_id)
    assert progress.ends == {0: 599}
    window = sql_page.Window.of(run, progress.ends, 100)
    for name, kind in (
        ("scans", "(SELECT * FROM decisions UNION ALL SELECT * FROM evaluations)"),
        ("decisions", "decisions"),
    ):
        n = journal.value(
            f"SELECT count() FROM {kind} WHERE run_id = {{run:String}} AND log_offset >= 500", run=run.run_id
        )
        assert sum(sql_page.series(reading, window)[name]) == n
    assert sum(sql_page.bounds(reading, window).values()) == n
    feed = sql_page.feed(reading, window, {0: 550})
    assert [row["log_offset"] for row in feed] == [
        row["log_offset"] for row in journal.rows(
            "SELECT log_offset FROM decisions WHERE run_id = {run:String} AND log_offset > 550 ORDER BY ts_ms DESC, log_offset DESC",
            run=run.run_id,
        )
    ]  # fmt: skip
    assert sql_page.Latest()(reading, sql_page.Window.of(run, {}, 100)) is None
    assert sql_page.distribution(reading, sql_page.Window.of(run, {}, 100)) == {}


def test_the_last_scan_is_explained_with_its_planes_as_of_it(told, journal, soaked):
    latest = told["window"]["latest"]
    said = journal.violet("explain", f"@{latest['log_offset']}", "--run", soaked.run_id, "--json").json
    assert [step["product"] for step in latest["steps"]] == [step["product"] for step in said["steps"]]
    assert latest["planes"] == said["planes"]
    assert latest["planes"]


def test_what_is_not_stored_of_planes_lies_before_an_offset(reading, journal, tmp_path):
    lines = [*records.every_plane(), *(records.scan(n) for n in range(100))]
    archive = records.write(tmp_path / "a.jsonl", lines)

    def latest(soaked):
        return sql_page.Latest()(
            reading, sql_page.Window.of(journal.run(soaked.summary["name"]), {0: len(lines) - 1}, 2_000)
        )

    whole, late = (journal.soak(scans=archive, batch_size=50, from_=start) for start in ("earliest", "20"))
    assert (latest(whole)["planes_from"], len(latest(whole)["planes"])) == (0, 7)
    assert (latest(late)["planes_from"], latest(late)["planes"]) == (20, [])
    first = journal.value("SELECT min(written_at) FROM batches WHERE run_id = {run:String}", run=whole.run_id)
    prune(journal.store, whole.run_id, first.replace(tzinfo=UTC) + timedelta(milliseconds=1))
    assert (latest(whole)["planes_from"], latest(whole)["planes"]) == (50, [])


def test_partitions_share_a_window(reading, journal, both):
    run, progress = journal.run(both.summary["name"]), sql_page.Progress()
    progress.read(reading, run.run_id)
    assert set(progress.ends) == {0, 1}
    window = sql_page.Window.of(run, progress.ends, 2_000)
    shown, scans = sql_page.series(reading, window), both.summary["decisions"] + both.summary["evaluations"]
    assert (sum(shown["scans"]), sum(shown["decisions"])) == (scans, both.summary["decisions"])
    latest = sql_page.Latest()
    assert latest(reading, window) == latest(reading, window)


@pytest.mark.parametrize("wider", [poller.WIDER, 250], ids=["all of it is looked through", "its end is"])
def test_the_list_of_decisions_has_no_hole_however_much_came(reading, journal, soaked, monkeypatch, wider):
    monkeypatch.setattr(poller, "WIDER", wider)
    viewer = poller.Viewer(journal.data, soaked.run_id, 20)
    viewer.pulse(reading)
    for end in (99, 110, 300, 301, 599):
        viewer._progress.ends = {0: end}
        feed = viewer.window(reading)[1]["feed"]
        latest = journal.rows(
            "SELECT log_offset, ts_ms FROM decisions WHERE run_id = {run:String} AND log_offset <= {end:Int64} "
            "ORDER BY ts_ms DESC, log_offset DESC LIMIT 60", run=soaked.run_id, end=end,
        )  # fmt: skip
        assert [row["log_offset"] for row in feed] == [row["log_offset"] for row in latest], end
    assert len(feed) == sql_page.FEED


def test_a_look_that_fails_lists_no_decision_twice(reading, journal, soaked, monkeypatch):
    def away(*_):
        raise JournalAway("it went with its soak")

    viewer = poller.Viewer(journal.data, soaked.run_id, 20)
    viewer.pulse(reading)
    with monkeypatch.context() as patch:
        patch.setattr(sql_page, "series", away)
        with pytest.raises(JournalAway):
            viewer.window(reading)
    offsets = [row["log_offset"] for row in viewer.window(reading)[1]["feed"]]
    assert len(set(offsets)) == len(offsets) == sql_page.FEED


def test_what_is_read_on_is_what_a_fresh_look_finds(reading, journal, tmp_path):
    archive = records.write(tmp_path / "a.jsonl", records.mixed(600, long=False))
    interrupted(journal.data, 2, name="read-on", batch_size=60, scans=archive)
    run, on, latest = journal.run("read-on"), sql_page.Progress(), sql_page.Latest()
    on.read(reading, run.run_id)
    assert 0 < sum(on.ends.values()) < 599
    latest(reading, sql_page.Window.of(run, on.ends, 100))
    soak(journal.data, name="read-on", batch_size=60, scans=archive)
    run, fresh = journal.run("read-on"), sql_page.Progress()
    on.read(reading, run.run_id)
    on.read(reading, run.run_id)  # nothing came: nothing is counted again
    fresh.read(reading, run.run_id)
    at = run.started_at
    assert on.counts(run, at) == fresh.counts(run, at)
    window = sql_page.Window.of(run, on.ends, 100)
    assert latest(reading, window) == sql_page.Latest()(reading, window)


@pytest.mark.parametrize("outcome", ["decision", "evaluation", "plane", "reject"])
def test_any_outcome_opens_quiet_bars_too(client, journal, soaked, outcome):
    offset = journal.value(f"SELECT max(log_offset) FROM {outcome}s WHERE run_id = {{run:String}}", run=soaked.run_id)
    code, (shown,) = client.json("/api/explain", run=soaked.run_id, what=f"@{offset}")
    said = journal.violet("explain", f"@{offset}", "--run", soaked.run_id, "--json").json
    assert (code, shown["outcome"]) == (200, outcome)
    for name in set(said) - {"ts", "leverage_bits"}:
        assert shown[name] == said[name], name
    if "leverage_bits" in said:  # a browser's numbers would round it
        assert shown["leverage_bits"] == str(said["leverage_bits"])


def test_a_scan_id_opens_every_outcome_of_it(client, journal, soaked):
    (row,) = journal.rows(
        "SELECT scan_id, count() AS n FROM evaluations WHERE run_id = {run:String} AND has(reasons, 'DUP_SCAN') "
        "AND scan_id IN (SELECT scan_id FROM decisions WHERE run_id = {run:String}) GROUP BY scan_id LIMIT 1",
        run=soaked.run_id,
    )
    code, shown = client.json("/api/explain", run=soaked.run_id, what=row["scan_id"], stream="ng7")
    assert (code, shown[0]["outcome"], len(shown)) == (200, "decision", row["n"] + 1)


def test_an_offset_opens_its_outcome_in_each_partition(client, journal, both):
    asked = {"run": both.run_id, "what": "@40"}
    code, shown = client.json("/api/explain", **asked)
    assert (code, [(row["partition"], row["log_offset"]) for row in shown]) == (200, [(0, 40), (1, 40)])
    said = journal.violet("explain", "@40", "--run", both.run_id, "--json").json
    assert [(row["partition"], row["outcome"]) for row in said] == [(n, shown[n]["outcome"]) for n in (0, 1)]
    for partition in (0, 1):
        assert client.json("/api/explain", **asked, partition=partition) == (200, [shown[partition]])


@pytest.mark.parametrize(
    "asked",
    [
        {"what": "99999999"},
        {"what": "@-1"},
        {"what": "x"},
        {"what": "9" * 5_000},
        {"what": "1", "run": "none"},
        {"what": "@1", "partition": "-1"},
        {},
    ],
)
def test_what_is_not_there_is_said_in_words(client, asked):
    code, said = client.json("/api/explain", **asked)
    assert (code, list(said)) == (404, ["error"])
    assert said["error"]


def test_a_lane_that_is_none_is_no_page_of_all_lanes(client, soaked):
    assert [client.get(f"{base}/lane/acb")[0] for base in ("", f"/run/{soaked.run_id}")] == [200, 200]
    for base in ("", f"/run/{soaked.run_id}"):
        code, _, body = client.get(f"{base}/lane/foo")
        assert (code, body.decode()) == (404, "no lane 'foo'; the lanes are base, dc, acb, ob, esof\n")


def test_runs_are_listed_and_the_newest_is_shown_where_none_is_asked_for(client, journal, soaked):
    _, listed = client.json("/api/runs")
    assert [row["run_id"] for row in listed] == [
        row["run_id"] for row in journal.rows("SELECT run_id FROM runs ORDER BY started_at DESC")
    ]
    assert client.told("pulse")["pulse"]["run_id"] == listed[0]["run_id"]
    said = client.told("away", run="no-such-run")["away"]
    assert (said["is_away"], "no run 'no-such-run'" in said["why"]) == (False, True)


def test_beside_blue_the_figures_are_those_of_its_views(client, journal, soaked, tmp_path):
    assert client.json("/api/blue", run=soaked.run_id) == (200, [])
    archive = records.write(tmp_path / "a.jsonl", records.mixed(600, long=False))
    made = violet("blue", "simulate", "--scans", archive, "--out", tmp_path / "t.csv")
    assert made.code == 0, made.err
    done = journal.violet("blue", "import", "--trades", tmp_path / "t.csv")
    assert done.code == 0, done.err
    code, (shown,) = client.json("/api/blue", run=soaked.run_id)
    said = journal.violet("blue", "look", soaked.run_id, "--json").json
    assert (code, shown["label"], shown["trust"][:4]) == (200, "STAND-IN", "HOLD")
    assert shown["trades"] > 0
    assert [shown["trades"], shown["colocated"]] == [said["colocation"]["n"], said["colocation"]["within_5_min"]]
    assert client.told("whole", run=soaked.run_id)["whole"]["blue"] == ["STAND-IN"]


# -- as a process ---------------------------------------------------------------------------------------------------------


def announced(process):
    """The page that a soak says it has."""
    found = until(lambda: process.err.exists() and re.search(r"its page.*?(http\S+)\n", process.err.read_text()), 60)
    return Elsewhere(found[1])


@pytest.fixture
def alone(tmp_path, mixed):
    """A directory whose soak has ended: no engine runs."""
    made = Journal(tmp_path / "alone")
    made.close()
    soak(made.data, scans=mixed)
    return made.data


def test_the_command_starts_an_engine_and_takes_it_along(alone, spawn):
    command = spawn("web", "--data", alone, "--json")
    said = until(lambda: command.out.exists() and command.out.read_text())
    client = Client(Elsewhere(json.loads(said)["url"]))
    assert client.told("whole")["whole"]["state"] == "ENDED"
    (engine,) = (pid for pid, line in processes(alone).items() if "engine" in line)
    os.kill(engine, signal.SIGKILL)
    until(lambda: client.json("/api/runs")[0] == 200)  # it comes back on its own
    assert client.told("window")["window"]["records"] == 600
    command.send_signal(signal.SIGINT)
    command.communicate(20)
    assert command.returncode == 0
    free_of(alone)


def test_a_soak_with_its_page_decides_and_ends_as_without(journal, mixed, spawn, tmp_path, soaked):
    data = tmp_path / "data"
    process = spawn("soak", "--scans", mixed, "--data", data, "--web", "--speed", "300x")
    beside = announced(process)
    client = Client(beside)
    whole = client.told("whole", "window")["whole"]
    assert (whole["state"], urlsplit(beside.url()).path) == ("RUNNING", f"/run/{whole['run_id']}")  # whatever is newest
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(30)
    assert (process.returncode, f"violet web --data {data}" in out, err.count("its page")) == (2, True, 1)
    free_of(data, client.port)
    whole = soak(data, scans=mixed)
    assert (whole.hash, whole.counts) == (soaked.hash, soaked.counts)


def test_the_page_dies_with_a_soak_that_is_killed(mixed, spawn, tmp_path):
    data = tmp_path / "data"
    process = spawn("soak", "--scans", mixed, "--data", data, "--web", "--speed", "300x")
    beside = announced(process)
    process.kill()
    process.communicate(10)
    free_of(data, beside.port)


def test_the_page_of_a_journal_at_an_address_is_beside_its_soak_and_alone(journal, mixed, tmp_path):
    address, name = read(journal.data, WRITER), "at-an-address"  # an engine at another address, as a server would be
    config = tmp_path / "server.toml"
    config.write_text(
        f'[reactor]\ndata = "{tmp_path / "here"}"\nname = "{name}"\nweb = true\n'
        f'[journal]\nurl = "{address.url}"\nuser = "{WRITER}"\n', "utf-8"
    )  # fmt: skip
    env = {"VIOLET_JOURNAL_PASSWORD": address.token}
    started = []
    try:
        started.append(fresh("soak", "--config", config, "--scans", mixed, "--speed", "300x", env=env))
        lines = iter(started[0].stderr.readline, "")
        said = next(found[1] for line in lines if (found := re.search(r"its page.*?(http\S+)\n", line)))
        whole = Client(Elsewhere(said)).told("whole")["whole"]
        assert (whole["state"], whole["run_id"]) == ("RUNNING", journal.run(name).run_id)
        started[0].send_signal(signal.SIGINT)
        assert ended(started[0]).code == 2
        started.append(fresh("web", "--config", config, "--json", env=env))
        client = Client(Elsewhere(json.loads(started[1].stdout.readline())["url"]))
        assert client.told("whole", run=whole["run_id"])["whole"]["state"] == "STOPPED"
        started[1].send_signal(signal.SIGINT)
        assert ended(started[1]).code == 0
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert not (tmp_path / "here/engine").exists()


def test_a_directory_without_a_journal_is_refused_and_left_alone(journal, tmp_path):
    said = journal.violet("web", "--run", "none")
    assert (said.code, "no run 'none'" in said.err) == (3, True)
    said = violet("web", "--data", tmp_path / "nothing")
    assert (said.code, "holds no journal" in said.err, (tmp_path / "nothing").exists()) == (3, True, False)


class Elsewhere:
    """A page of another process, by the address that it said."""

    def __init__(self, url):
        self._url, self.port = url, urlsplit(url).port

    def url(self):
        return self._url
