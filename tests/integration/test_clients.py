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
print(json.dumps([int(n), frame.height, str(frame.schema["ts"]), len(pandas.read_csv(page + "CSVWithNames"))]))
"""


def test_connectorx_polars_and_pandas_read_from_an_address(served, tmp_path):
    address, decisions = served
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    packages = ["connectorx==0.4.6", "polars", "pandas", "pyarrow"]
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, timeout=400)
    done = subprocess.run(
        [python, "-c", PYTHON, *login(address)], check=True, capture_output=True, text=True, timeout=100,
        env={**os.environ, "no_proxy": "127.0.0.1"},
    )  # fmt: skip
    assert json.loads(done.stdout) == [decisions, decisions, "Datetime(time_unit='us', time_zone='UTC')", decisions]
