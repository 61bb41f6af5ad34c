"""Every query of every panel, on a real soak's journal and a real Prometheus that scrapes it: none errs, none is empty.

No Grafana runs here: what it would ask is asked, what it would draw is not seen.
"""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace

import pytest

from journal.engine.address import READER, read
from reactor.standin.seeded import lines, write_market
from tests.grafana import Grafana, Panel, boards, panels
from tests.integration.fixtures import own_journal
from tests.integration.soaking import ROOT, ended, fresh, produce, until, violet

journal = own_journal  # trades of BLUE are beside all of its runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

NAME = "watched"
SCANS = 1_500
CHUNK = 200  # records, twice a second
GAP = slice(1_400, 1_600)  # records that never come: a silence, in which BLUE trades
WIDTH = 8  # points of a panel over time


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Prometheus:
    """A Prometheus with the configuration of deploy/prometheus, but faster, of one target."""

    def __init__(self, folder, target):
        shutil.copytree(ROOT / "deploy/prometheus", folder / "etc")
        config = folder / "etc/prometheus.yml"
        text = config.read_text("utf-8")
        assert text.count("127.0.0.1:9464") == text.count("  name: violet ") == 1
        text = text.replace("127.0.0.1:9464", f"127.0.0.1:{target}").replace("  name: violet ", f"  name: {NAME} ")
        config.write_text(text.replace("interval: 5s", "interval: 1s"), "utf-8")
        self.url = f"http://127.0.0.1:{(at := port())}"
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{at}"], stdout=self._log, stderr=subprocess.STDOUT
        )

    def ask(self, path, **params):
        """An answer of its API, or None while it does not."""
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(params)}", timeout=10
            ) as reply:
                return json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it begins
                return None
            raise AssertionError(error.read().decode()) from None
        except OSError:
            return None

    def close(self):
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


class Watched:
    """A soak that was stopped, its trades of a stand-in BLUE, and the Prometheus that scraped it while it ran."""

    def __init__(self, journal, prometheus, run_id, from_s, at_s):
        self.journal, self.prometheus, self.run_id, self.from_s, self.at_s = journal, prometheus, run_id, from_s, at_s
        span = journal.rows(
            "SELECT min(ts_ms) AS first, max(ts_ms) AS last FROM scans WHERE run_id = {run:String}", run=run_id
        )[0]
        streams = [
            row["stream"]
            for row in journal.rows("SELECT DISTINCT stream FROM scans WHERE run_id = {run:String}", run=run_id)
        ]
        values = {"run": run_id, "name": NAME, "stream": streams, "label": "STAND-IN"}
        first, last = span["first"] // 1_000, span["last"] // 1_000 + 1
        self.events = Grafana(values, first, last, max(1, (last - first) // WIDTH))
        self.wall = replace(self.events, from_s=int(from_s), to_s=int(at_s), interval_s=1)

    def rows(self, sql):
        said = violet("sql", sql, "--data", self.journal.data, "--json")
        assert said.code == 0, f"{said.err}\n{sql}"
        return said.json


@pytest.fixture(scope="module")
def watched(journal, session_tansu, tmp_path_factory):
    if not shutil.which("prometheus"):
        pytest.skip("Prometheus is not installed (Debian's package prometheus)")
    folder = tmp_path_factory.mktemp("watched")
    market = folder / "market.jsonl.zst"
    write_market(market, 11, SCANS)
    trades, legs = folder / "trades.csv", folder / "legs.csv"
    said = violet(
        "blue", "simulate", "--scans", market, "--out", trades, "--legs-out", legs, "--dirt", "--plant", "esof-stale"
    )
    assert said.code == 0, said.err
    metrics, topic = port(), session_tansu.create_topic()
    flags = ("--bootstrap-servers", session_tansu.bootstrap, "--topic", topic, "--metrics-port", metrics)
    process = fresh("soak", *flags, "--data", journal.data, "--name", NAME, "--json")
    prometheus = Prometheus(folder, metrics)
    try:
        mine = f'{{name="{NAME}"}}'
        until(lambda: prometheus.ask("query", query=f"violet_scans_total{mine}"), 60, 0.2)
        from_s, each = time.time(), list(lines(11, SCANS))
        del each[GAP]
        for first in range(0, len(each), CHUNK):  # at a pace, so that there are rates
            produce(session_tansu.bootstrap, topic, each[first : first + CHUNK])
            time.sleep(0.5)
        until(
            lambda: prometheus.ask(
                "query", query=f"violet_time_coverage_ratio{mine} + violet_scans_total{mine} > 1000"
            ),
            90,
            0.5,
        )
        at_s = time.time()
        process.send_signal(signal.SIGINT)
        said = ended(process)
        assert said.code == 2, said.err
        run = said.json
        contract, part = folder / "contract.json", folder / "part.json"
        compare = ("compare", run["run_id"], "--against", "blue", "--contract")
        for code, *line in (
            (0, "blue", "import", "--trades", trades, "--legs", legs),
            (0, "contract", "new", run["run_id"], "--against", "blue", "-o", contract),
            (3, *compare, contract, "--offer", part),  # a scan is missing
            (1, *compare, part),
        ):
            said = journal.violet(*line)
            assert said.code == code, said.out + said.err
        yield Watched(journal, prometheus, run["run_id"], from_s, at_s)
    finally:
        process.kill()
        process.communicate()
        prometheus.close()


def asked():
    return [(panel, target) for panel in panels() for target in panel.targets]


def sqls():
    return [(panel, target["rawSql"]) for panel, target in asked() if "rawSql" in target]


def expanded(watched, sql):
    return (watched.wall if "written_at" in sql else watched.events).sql(sql)


def named(value):
    return str(value) if isinstance(value, Panel) else ""


@pytest.mark.parametrize(("panel", "sql"), sqls(), ids=named)
def test_a_panel_of_the_journal_is_answered(watched, panel, sql):
    rows = watched.rows(expanded(watched, sql))
    assert rows
    labels = [name for name, value in rows[0].items() if name == "time" or isinstance(value, str)]
    assert any(value is not None for row in rows for name, value in row.items() if name not in labels) or len(
        labels
    ) == len(rows[0])
    if panel.kind == "timeseries":
        assert labels[0] == "time"
        keys = [tuple(row[name] for name in labels) for row in rows]
        assert len(set(keys)) == len(keys)  # as the plugin makes a wide frame of a long one
        assert [key[0] for key in keys] == sorted(key[0] for key in keys)


@pytest.mark.parametrize(("panel", "asks"), [each for each in asked() if "expr" in each[1]], ids=named)
def test_a_panel_of_the_metrics_is_answered(watched, panel, asks):
    query = watched.events.promql(asks["expr"])
    if panel.kind == "stat":
        found = watched.prometheus.ask("query", query=query, time=watched.at_s)
        values = [each["value"][1] for each in found]
    else:
        found = watched.prometheus.ask("query_range", query=query, start=watched.from_s, end=watched.at_s, step=1)
        values = [value for each in found for _, value in each["values"]]
    assert found, query
    assert any(math.isfinite(float(value)) for value in values), query
    for name in asks.get("legendFormat", "").split("{{")[1:]:
        assert name.split("}}")[0] in found[0]["metric"]


@pytest.mark.parametrize("board", boards())
def test_the_variables_have_values(watched, board):
    for variable in boards()[board]["templating"]["list"]:
        if variable["type"] == "query":
            rows = watched.rows(watched.events.sql(variable["query"]))
            expected = watched.events.values[variable["name"]]
            assert [row[name] for row in rows for name in row] == (
                expected if isinstance(expected, list) else [expected]
            )


def test_a_figure_of_a_panel_is_that_of_the_journal(watched):
    """One of each kind, so that a panel that is answered is also right."""
    decisions = watched.journal.value("SELECT count() FROM decisions WHERE run_id = {run:String}", run=watched.run_id)
    bounds = [sql for panel, sql in sqls() if str(panel) == "overview: Decisions by bound"]
    assert sum(row["n"] for row in watched.rows(expanded(watched, bounds[0]))) == decisions > 100
    total = watched.prometheus.ask("query", query=f'violet_scans_total{{name="{NAME}"}}', time=watched.at_s)
    assert 700 < float(total[0]["value"][1]) <= 1_500


def test_grafanas_own_client_reads_every_panel(watched, tmp_path):
    """clickhouse-go over HTTP, as the ClickHouse plugin of Grafana opens it."""
    if not shutil.which("go"):
        pytest.skip("Go is not installed: clickhouse-go cannot be built")
    for name in ("go.mod", "go.sum", "main.go"):
        shutil.copy(ROOT / "tests/clickhouse_go" / name, tmp_path)
    env = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    built = subprocess.run(
        ["go", "build", "-o", "client", "."],
        check=False,
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=170,
    )
    if built.returncode and "proxy" in built.stderr:
        pytest.skip(f"no Go module proxy: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    address = read(watched.journal.data, READER)
    queries = [expanded(watched, sql) for _, sql in sqls()]
    said = subprocess.run(
        [tmp_path / "client", str(address.port), address.user, address.token], check=False, capture_output=True, text=True,
        input="".join(json.dumps(query) + "\n" for query in queries), timeout=120,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert [int(line) > 0 for line in said.stdout.splitlines()] == [True] * len(queries)
