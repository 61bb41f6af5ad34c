"""A soak that is watched: metrics, sketches and events change nothing, are true, and fail alone."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import numpy as np
import pytest

from journal.keep.migrate import migrate
from reactor.log.connection import plain
from reactor.log.kafka import KafkaLog
from reactor.run.settings import SoakSettings
from reactor.watch import observe
from reactor.watch.events import Events
from reactor.watch.metrics import FAMILIES
from reactor.watch.observe import Observers
from reactor.watch.sketch import Sketches
from tests.integration import records
from tests.integration.soaking import ROOT, Journal, ended, interrupted, listing, produce, soak, until, violet
from tests.reactor.watch.test_sketch import Clock, needs_tdigest, of, scans, without

LANES = {"base", "dc", "acb", "ob", "esof"}

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def value(text, metric):
    """The value of one line of a scrape."""
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(metric + " ")]
    return float(found[0]) if found else None


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def bare(journal, mixed):
    """The mixed archive with everything off."""
    return journal.soak(scans=mixed, batch_size=100)


@pytest.fixture(scope="module")
def watched(journal, mixed):
    """The same with everything on, and what a scrape said between two batches."""
    port, seen = free_port(), []

    def seam(step):
        if step == "before_intent":
            seen.append(scrape(port))

    extras = {} if without else {"sketches": True}
    done = soak(
        journal.data, seam, name="watched", scans=mixed, batch_size=100, metrics_port=port, log_format="json", **extras
    )
    assert done.code == 2
    return done, seen


def test_all_on_gives_the_hash_of_all_off(bare, watched):
    assert watched[0].hash == bare.hash
    assert watched[0].counts == bare.counts


def test_a_scrape_in_the_middle_tells_what_is_journaled(watched):
    _, seen = watched
    assert len(seen) == 6
    for n, text in enumerate(seen):
        assert (
            sum(
                value(text, f'violet_outcomes_total{{kind="{kind}"}}')
                for kind in ("DECISION", "EVALUATION", "PLANE", "REJECT")
            )
            == 100 * n
        )
    assert value(seen[-1], 'violet_lag_records{partition="0"}') == 100
    assert value(seen[-1], 'violet_mode{mode="RUN"}') == 1
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: Debian's package prometheus has it")
    done = subprocess.run(["promtool", "check", "metrics"], input=seen[-1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_line_of_the_log_is_one_object_that_says_which_run(watched):
    done, _ = watched
    told = lines(done.err)
    assert {(line["run_id"], line["segment"], line["name"]) for line in told} == {(done.run_id, 1, "watched")}
    assert all({"at", "level", "event"} <= line.keys() for line in told)
    events = [line["event"] for line in told]
    assert (events[0], events[-2:]) == ("started", ["ended", "summary"])
    assert told[-1]["content_hash"] == done.hash
    assert told[-1]["verdict"] == done.summary["verdict"]


def test_a_reject_names_its_record_and_scan(watched, journal):
    done, _ = watched
    sql = "SELECT log_offset AS offset, code, stream, scan_id, detail FROM rejects WHERE run_id = {run:String} ORDER BY offset"
    rows = journal.rows(sql, run=done.run_id)
    told = [line for line in lines(done.err) if line["event"] == "rejected"]
    assert len(rows) > 10
    for row, line in zip(rows, told, strict=True):
        assert {name: line[name] for name in row} == row
    assert any(line["scan_id"] is not None for line in told)


def test_a_flood_of_rejects_is_told_in_few_lines(journal, tmp_path):
    archive = records.write(tmp_path / "poison.jsonl", [*records.plain(20), *[b"{"] * 500])
    told = lines(journal.soak(scans=archive, batch_size=200, log_format="json").err)
    rejected = [line for line in told if line["event"] == "rejected"]
    more = [line["count"] for line in told if line["event"] == "rejected_more"]
    assert (len(rejected), len(rejected) + sum(more)) == (60, 500)
    assert len(more) <= 3


def test_a_resume_may_be_watched_or_not_and_says_so(journal, mixed, bare):
    left = interrupted(journal.data, 2, name="either", scans=mixed, batch_size=100, metrics_port=free_port())
    again = interrupted(journal.data, 1, name="either", scans=mixed, batch_size=100, log_format="json")
    last = journal.soak(name="either", scans=mixed, metrics_port=free_port(), log_format="json")
    assert (left.run_id, again.run_id) == (last.run_id, last.run_id)
    assert last.hash == bare.hash
    assert [line["event"] for line in lines(again.err)][:1] == ["resumed"]
    assert [line["event"] for line in lines(again.err)][-2:] == ["stopped", "summary"]
    assert "stopping" in left.err  # people are still spoken to in words


def test_a_new_segment_is_on_the_lines_from_there_on(journal, mixed):
    interrupted(journal.data, 2, name="segments", scans=mixed, batch_size=100)
    done = journal.soak(name="segments", scans=mixed, profile="v3_base9", new_segment=True, log_format="json")
    told = lines(done.err)
    assert [line["event"] for line in told][:2] == ["segment_opened", "resumed"]
    assert {line["segment"] for line in told} == {2}


def test_a_refusal_is_a_line_too(journal, mixed):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    before = listing(journal.data / "locks")
    said = violet("soak", "--scans", mixed, "--data", journal.data, "--name", "x1", "--metrics-port", port)
    assert (said.code, said.out) == (3, "")
    assert f"--metrics-port {port}: " in said.err
    assert "fix: name a port that is free" in said.err
    told = violet(
        "soak", "--scans", mixed, "--data", journal.data, "--name", "x1", "--metrics-port", port, "--log-format", "json"
    )
    taken.close()
    assert listing(journal.data / "locks") == before
    assert told.code == 3
    (line,) = lines(told.err)
    assert (line["event"], line["level"], line["run_id"]) == ("refused", "error", None)
    assert f"--metrics-port {port}: " in line["detail"]


def test_a_query_that_fails_ends_no_soak(own_health, mixed, bare, monkeypatch):
    """The table of days is away while it runs, and all that looks at it fails."""
    port, journal, seen = free_port(), own_health, []
    monkeypatch.setattr(observe, "ASK_S", 0.05)
    monkeypatch.setattr(observe, "IDLE", 0)

    def seam(step):
        if step == "before_intent" and not seen:
            journal.store.command("RENAME TABLE violet_days TO hidden_days")
            until(lambda: "observer_failed" in sys.stderr.getvalue())
        if step == "before_intent":
            seen.append(scrape(port))

    done = soak(journal.data, seam, name="sick", scans=mixed, batch_size=100, metrics_port=port, log_format="json")
    journal.store.command("RENAME TABLE hidden_days TO violet_days")
    assert done.hash == bare.hash
    assert value(seen[-1], 'violet_outcomes_total{kind="PLANE"}') > 0
    (told,) = [line for line in lines(done.err) if line["event"] == "observer_failed"]  # once, however often it fails
    assert (told["who"], "violet_days" in told["detail"]) == ("health", True)


def test_an_observer_that_fails_is_dropped_and_said(capsys):
    words, heard = [], []
    observers = Observers(SoakSettings(), Events(sys.stderr, "n"), words.append)

    def broken(batch):
        raise ZeroDivisionError("one of its own")

    observers._batch += [broken, heard.append]
    observers.batch("first")
    observers.batch("second")
    assert heard == ["first", "second"]
    (line,) = lines(capsys.readouterr().err)
    assert (line["event"], line["detail"]) == ("observer_failed", "ZeroDivisionError: one of its own")
    assert len(words) == 1
    assert words[0].endswith("failed, and the soak goes on: ZeroDivisionError: one of its own")


@pytest.fixture
def own_health(tmp_path):
    opened = Journal(tmp_path / "data")
    migrate(opened.store, lambda name: None)
    yield opened
    opened.close()


def test_the_ends_of_a_topic_are_known_without_asking(broker):
    topic = broker.create_topic()
    produce(broker.bootstrap, topic, records.plain(300))
    log = KafkaLog(plain(broker.bootstrap), topic, "known-shadow")
    try:
        assert log.known_ends([0]) == {}
        log.assign({0: 0})
        read = until(lambda: log.poll(10, 0.2))[0].offsets[-1] + 1
        end = until(lambda: log.known_ends([0]))[0]
        assert read < end <= 330  # Tansu tells too low an end
        assert end == 330 or "Tansu" in broker.name
    finally:
        log.close()


# -- quantiles ---------------------------------------------------------------------------------------------------------


def test_exact_quantiles_by_lane_and_by_asset(journal, bare):
    rows = journal.rows("SELECT * FROM lane_quantiles WHERE run_id = {run:String}", run=bare.run_id)
    raw = journal.rows(
        "SELECT lane, r.value AS value, d.asset AS asset FROM lane_readings AS r LEFT JOIN "
        "(SELECT log_offset, asset FROM decisions WHERE run_id = {run:String}) AS d ON r.log_offset = d.log_offset "
        "WHERE r.run_id = {run:String}",
        run=bare.run_id,
    )
    assert {row["lane"] for row in rows} == LANES
    assert len({row["asset"] for row in rows}) > 3
    for row in rows:
        values = [each["value"] for each in raw if each["lane"] == row["lane"] and row["asset"] in ("*", each["asset"])]
        assert (row["n"], row["min"], row["max"]) == (len(values), min(values), max(values))
        wanted = np.sort(values)
        for share in (1, 5, 50, 95, 99):
            found = row[f"p{share:02}"]
            low, high = (np.searchsorted(wanted, found, side) for side in ("left", "right"))
            assert low - 1 <= share / 100 * len(values) <= high + 1
            assert found in values


@needs_tdigest
def test_sketches_come_back_on_a_resume_and_equal_the_exact_quantiles(journal, mixed, bare):
    """So few scans are all in the sample, so nothing but the step of a quantile may differ."""
    port, texts = free_port(), []
    left = interrupted(journal.data, 3, name="sketched", scans=mixed, batch_size=100, sketches=True)
    sql = "SELECT * FROM lane_sketches WHERE run_id = {run:String} AND window = {w:String}"
    part = {(r["lane"], r["asset"]): r["n"] for r in journal.rows(sql, run=left.run_id, w="run")}
    assert part["base", "*"] == left.summary["decisions"] + left.summary["evaluations"] > 100
    done = soak(
        journal.data, lambda step: texts.append(scrape(port)) if step == "before_intent" else None, name="sketched",
        scans=mixed, batch_size=100, sketches=True, metrics_port=port,
    )  # fmt: skip
    assert done.hash == bare.hash
    exact = {
        (r["lane"], r["asset"]): r
        for r in journal.rows("SELECT * FROM lane_quantiles WHERE run_id = {run:String}", run=done.run_id)
    }
    for window in ("run", "1h"):
        sketched = {(r["lane"], r["asset"]): r for r in journal.rows(sql, run=done.run_id, w=window)}
        assert sketched.keys() == exact.keys()
        assert {key: r["n"] for key, r in sketched.items()} == {key: r["n"] for key, r in exact.items()}
        for key, row in sketched.items():
            if exact[key]["n"] > 100:
                assert row["p50"] == pytest.approx(exact[key]["p50"], rel=0.02)


@needs_tdigest
def test_what_is_stored_is_whole_whatever_places_were_taken_again(journal):
    """Three hours of slots in twelve places: rows that a fold took over, and of assets that came no more, count once."""
    clock, run_id = Clock(), "r-folds"
    sketches = Sketches(clock)
    for n in range(36):
        sketches.batch(scans([float(n)] * 10, ("EARLYUSDT" if n < 3 else "LATEUSDT",)))
        sketches.work()
        sketches.write(journal.store, run_id)
        clock.at += 300 if n != 20 else 900
        sketches.work()
        resumed = Sketches(clock)
        resumed.load(journal.store, run_id)
        resumed.work()
        for window in ("run", "1h"):
            assert np.array_equal(of(resumed, window=window).values, of(sketches, window=window).values)
        assert of(resumed).weights.tolist() == [10.0] * (n + 1)
        if n % 7 == 0:
            sketches = resumed
    rows = journal.rows("SELECT asset, n FROM lane_sketches WHERE run_id = {r:String} AND lane = 'base'", r=run_id)
    assert {row["asset"]: row["n"] for row in rows} == {"*": 360, "EARLYUSDT": 30, "LATEUSDT": 330}
    assert journal.value("SELECT count() AS n FROM violet_sketches FINAL WHERE run_id = {r:String}", r=run_id) < 13 * 15


# -- a real Prometheus -------------------------------------------------------------------------------------------------


def prometheus(tmp_path, target, listen):
    """A Prometheus with the project's own configuration, but for target and pace."""
    folder = tmp_path / "prometheus"
    shutil.copytree(ROOT / "deploy/prometheus", folder)
    config = folder / "prometheus.yml"
    text = config.read_text("utf-8")
    assert text.count("127.0.0.1:9464") == 1
    assert text.count(": 5s") == 2
    config.write_text(
        text.replace("127.0.0.1:9464", f"127.0.0.1:{target}")
        .replace(": 5s", ": 1s")
        .replace("  name: violet", "  name: live"),
        "utf-8",
    )
    return subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{listen}", "--log.level=error"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def ask(port, query):
    """Result of an instant query: labels and value of each series; nothing while it does not answer."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.load(answer)
    except OSError:
        return []
    assert found["status"] == "success"
    return [(series["metric"], float(series["value"][1])) for series in found["data"]["result"]]


def test_a_real_prometheus_scrapes_a_running_soak_and_answers(journal, tansu, spawn, tmp_path):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed: Debian's package prometheus has it")
    topic, port, listen = tansu.create_topic(), free_port(), free_port()
    produce(tansu.bootstrap, topic, records.plain(300))
    running = spawn(
        "soak", "--bootstrap-servers", tansu.bootstrap, "--topic", topic, "--data", journal.data, "--name", "live",
        "--metrics-port", port, "--flush-ms", 50, "--log-format", "json", "--json",
    )  # fmt: skip
    watching = prometheus(tmp_path, port, listen)
    over = threading.Event()

    def scan():  # a scanner at work, so that there are rates
        n = 300
        while not over.wait(0.1):
            n += 1
            produce(tansu.bootstrap, topic, [records.scan(n)])

    scanner = threading.Thread(target=scan)
    scanner.start()
    try:
        until(lambda: (found := ask(listen, "violet_scans_total")) and found[0][1] > 300, 40)
        ((labels, _),) = ask(listen, "violet_scans_total")
        assert (labels["name"], labels["job"]) == ("live", "violet")
        assert ask(listen, 'violet_mode{mode="RUN"} == 1')
        assert {m["lane"] for m, _ in ask(listen, "violet_lane_value")} == LANES
        until(lambda: ask(listen, "violet_coverage_ratio"), 30)
        assert ask(listen, 'violet_lag_records{partition="0"} < 100')
        assert [v for m, v in ask(listen, '{__name__=~"violet_(lost|doubled|corrupt)"}')] == [0, 0, 0]
        for rule in ("violet:scans:rate5m", "violet:decisions:ratio_rate5m", "violet:lane_value:p50_rate5m"):
            until(lambda rule=rule: ask(listen, f"{rule} > 0"), 30)
        assert ask(listen, 'ALERTS{alertname=~"Violet(Down|Halted|Lost|Doubled|Corrupt|Orders)"}') == []
        running.send_signal(signal.SIGTERM)
        said = ended(running, 30)
        assert said.code == 2
        assert json.loads(said.out)["lost"] == 0
        until(lambda: ask(listen, 'up{job="violet"} == 0'), 20)
    finally:
        over.set()
        scanner.join(10)
        running.kill()
        watching.terminate()
        watching.wait(20)


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: Debian's package prometheus has it"
)
@pytest.mark.parametrize(
    "arguments", [["check", "config", "prometheus.yml"], ["check", "rules", "recording.yml", "alerts.yml"], ["test", "rules", "tests.yml"]],
    ids=" ".join,
)  # fmt: skip
def test_promtool_accepts_what_is_deployed(arguments):
    folder = ROOT / "deploy/prometheus"
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_every_name_in_a_rule_is_there():
    folder = ROOT / "deploy/prometheus"
    rules, tests = ((folder / name).read_text("utf-8") for name in ("alerts.yml", "tests.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) > 15
    assert [alert for alert in alerts if f"alertname: {alert}\n" not in tests] == []
    named = set(re.findall(r"\bviolet_\w+", rules + (folder / "recording.yml").read_text("utf-8")))
    known = {f.name + suffix for f in FAMILIES for suffix in ("", *(("_bucket",) if f.kind == "histogram" else ()))}
    assert named - known == set()
