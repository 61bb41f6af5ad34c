"""Clients of other languages and libraries read a journal, each installed from its registry: docs/sql.md lists them."""

import json
import os
import shutil
import subprocess
import venv

import pytest

from journal.engine import owner
from journal.engine.address import READER, read
from tests.integration import records
from tests.integration.soaking import ROOT, soak

CLIENTS = ROOT / "tests/clients"
SCANS = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An engine of a journal: the reader's address, and what every client must find in it."""
    home = tmp_path_factory.mktemp("served")
    run = soak(home / "data", scans=records.write(home / "scans.jsonl", records.plain(SCANS)), name="served")
    engine = owner.start(home / "data")
    try:
        yield read(home / "data", READER), run.summary["decisions"]
    finally:
        engine.close()


@pytest.fixture
def said(tmp_path):
    """said(folder of tests/clients, commands) -> what the last of them printed: first word of a line -> the rest."""

    def run(folder, *commands):
        missing = [command[0] for command in commands if not shutil.which(command[0]) and "/" not in str(command[0])]
        if missing:
            pytest.skip(f"{missing[0]} is not installed")
        shutil.copytree(CLIENTS / folder, tmp_path / folder)
        for command in commands:
            done = subprocess.run(
                list(map(str, command)), check=False, cwd=tmp_path / folder, capture_output=True, text=True,
                timeout=400, env={**os.environ, "no_proxy": "127.0.0.1"},
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
        return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

    return run


def login(address):
    return address.url, address.user, address.token


def test_jdbc_reads_the_journal_and_what_it_holds(served, said):
    address, decisions = served
    url, *user = login(address)
    answers = said(
        "jdbc",
        (
            "mvn",
            "-q",
            "dependency:copy-dependencies",
            "-DoutputDirectory=jars",
            "-DincludeArtifactIds=clickhouse-jdbc,slf4j-nop,slf4j-api",
        ),
        ("java", "-cp", "jars/*", "Main.java", f"jdbc:clickhouse:{url}", *user),
    )
    assert answers["product"] == "ClickHouse reader"
    assert (int(answers["decisions"]), int(answers["all"])) == (decisions, decisions)
    assert (answers["views"], answers["keys"], answers["few"]) == ("1", "4", "5")
    assert int(answers["columns"]) > 30
    assert int(answers["tables"]) > 10
    assert answers["bits"] == "4603099048211308964"
    assert (answers["shape"], answers["prepared"]) == ("2 n UInt64", "true")
    assert (answers["schema"], answers["cancelled"], answers["refused"]) == ("system", "true", "164")


def test_the_rust_crate_reads_with_its_default_compression(served, said):
    address, decisions = served
    answers = said("rust", ("cargo", "build", "-q"), ("./target/debug/reader", *login(address)))
    count, _, whole = answers["decisions"].split()
    assert (int(count), whole) == (decisions, "true")
    assert (answers["many"], answers["refused"]) == ("4999950000", "true")


def test_node_reads_with_settings_aborts_and_compression(served, said):
    address, decisions = served
    answers = said("node", ("npm", "install", "--silent", "--no-audit"), ("node", "main.js", *login(address)))
    assert answers == {
        "ping": "true", "decisions": str(decisions), "bits": "4603099048211308964", "join": "null", "readonly": "READONLY",
        "nosuch": "UNKNOWN_SETTING", "after": "five that were aborted 1", "zipped": "588890",
    }  # fmt: skip


PYTHON = """
import json, sys
import connectorx, pandas, polars
url, user, token = sys.argv[1:]
uri = f"clickhouse://{user}:{token}@{url.removeprefix('http://')}/default?protocol=http"
n = connectorx.read_sql(uri, "SELECT asset, count() AS n FROM decisions GROUP BY asset").n.sum()
frame = polars.read_database_uri("SELECT ts, asset, leverage FROM decisions ORDER BY ts", uri)
query = "SELECT+asset,leverage+FROM+decisions+ORDER+BY+ts+FORMAT+"
page = f"{url}/?user={user}&password={token}&query={query}"
frames = [
    pandas.read_csv(page + "CSVWithNames"), pandas.read_parquet(page + "Parquet"), polars.read_csv(page + "CSVWithNames"),
    polars.read_parquet(page + "Parquet"), polars.read_ndjson(page + "JSONEachRow"), polars.read_ipc(page + "Arrow"),
    polars.read_ipc_stream(page + "ArrowStream"), polars.scan_csv(page + "CSVWithNames").collect(),
    polars.scan_parquet(page + "Parquet").filter(polars.col("leverage") > 0).collect(),
]
many = f"{url}/?user={user}&password={token}&max_result_rows=1000000&query=SELECT+number+FROM+numbers(300000)+FORMAT+CSVWithNames"
print(json.dumps({
    "n": int(n), "rows": frame.height, "ts": str(frame.schema["ts"]), "heights": [len(each) for each in frames],
    "leverage": sorted({f"{each['leverage'].sum():.9f}" for each in frames}), "many": polars.read_csv(many)["number"].sum(),
}))
"""


@pytest.fixture
def python_with(tmp_path):
    """python_with(packages) -> a folder of programs of an environment with these packages."""

    def make(*packages):
        venv.create(tmp_path / "venv", with_pip=True)
        subprocess.run([tmp_path / "venv/bin/python", "-m", "pip", "install", "-q", *packages], check=True, timeout=500)
        return tmp_path / "venv/bin"

    return make


def test_connectorx_polars_and_pandas_read_from_an_address(served, python_with):
    address, decisions = served
    programs = python_with("connectorx==0.4.6", "polars", "pandas", "pyarrow", "fsspec", "aiohttp")
    done = subprocess.run(
        [programs / "python", "-c", PYTHON, *login(address)], check=True, capture_output=True, text=True, timeout=100,
        env={**os.environ, "no_proxy": "127.0.0.1"},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["n"], found["rows"], found["ts"]) == (
        decisions,
        decisions,
        "Datetime(time_unit='us', time_zone='UTC')",
    )
    assert (found["heights"], len(found["leverage"]), found["many"]) == ([decisions] * 9, 1, 299_999 * 150_000)


def test_dbt_reads_tests_and_documents_and_makes_nothing(served, python_with, tmp_path):
    """Later dbt-core builds fetch a program from another place than the registry, so this one is named."""
    address, decisions = served
    programs = python_with("dbt-core==1.10.23", "dbt-clickhouse==1.10.3")
    shutil.copytree(CLIENTS / "dbt", tmp_path / "dbt")

    def dbt(*arguments):
        done = subprocess.run(
            [programs / "dbt", "--no-send-anonymous-usage-stats", "--no-use-colors", "--no-version-check", *arguments],
            check=False, cwd=tmp_path / "dbt", capture_output=True, text=True, timeout=100,
            env={**os.environ, "no_proxy": "127.0.0.1", "DBT_PROFILES_DIR": ".", "JOURNAL_PORT": str(address.port),
                 "JOURNAL_TOKEN": address.token, "JOURNAL_USER": address.user},
        )  # fmt: skip
        return done.returncode, done.stdout

    assert "Connection test: [OK connection ok]" in dbt("debug")[1]
    code, said = dbt("--quiet", "show", "--select", "by_asset", "--output", "json")
    assert (code, sum(row["n"] for row in json.loads(said[said.index("{") :])["show"])) == (0, decisions)
    code, said = dbt("test", "--select", "source:journal")
    assert (code, "PASS=2 WARN=0 ERROR=0" in said) == (0, True)
    assert dbt("docs", "generate")[0] == 0
    catalog = json.loads((tmp_path / "dbt/target/catalog.json").read_text())
    assert "leverage" in catalog["sources"]["source.dark_journal.journal.decisions"]["columns"]
    code, said = dbt("run")
    assert (code, "read-only gate" in said) == (1, True)
