"""What every test may ask for: brokers, the `violet` command, golden files."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from tests import broker as brokers

GOLDEN = Path(__file__).parent / "golden"
BROKER = pytest.StashKey[str]()

settings.register_profile("violet", deadline=None, derandomize=True, print_blob=True)


def pytest_addoption(parser):
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files instead of comparing")


def pytest_configure(config):
    settings.load_profile("violet")
    for key in [k for k in os.environ if k.startswith("VIOLET_") and k != brokers.ADDRESS]:
        del os.environ[key]  # a soak reads its environment, and a test must not depend on the caller's


def pytest_report_header():
    way, reasons = brokers.ways()
    ways = {
        "jars": brokers.KafkaBroker.name,
        "docker": brokers.KafkaContainer.name,
        "address": f"the Kafka at {os.environ.get(brokers.ADDRESS)}",
    }
    return f"brokers: {brokers.EmbeddedTansu.name}, {ways.get(way, 'no Apache Kafka: ' + '; '.join(reasons))}"


def pytest_collection_modifyitems(items):
    for item in items:
        on = {*item.fixturenames, getattr(item, "callspec", None) and item.callspec.params.get("broker")}
        if "kafka" in on:
            item.add_marker("kafka")
        if "golden" in on:
            item.add_marker("golden")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and (name := item.stash.get(BROKER, None)):
        report.sections.append(("broker", name))
    return report


def pytest_terminal_summary(terminalreporter):
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    ran_on = Counter(said for report in reports for title, said in report.sections if title == "broker")
    for name, tests in sorted(ran_on.items()):
        terminalreporter.write_line(f"{tests} tests ran on {name}")


@pytest.fixture(scope="session")
def session_tansu(tmp_path_factory):
    with brokers.tansu(tmp_path_factory.mktemp("tansu")) as broker:
        yield broker


@pytest.fixture(scope="session")
def session_kafka(tmp_path_factory):
    with brokers.or_skip(), brokers.kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def tansu(session_tansu, request):
    """The session's Tansu."""
    request.node.stash[BROKER] = session_tansu.name
    return session_tansu


@pytest.fixture
def kafka(session_kafka, request):
    """The session's Apache Kafka. Who stops it starts it again; at a given address that raises NotOurs."""
    request.node.stash[BROKER] = session_kafka.name
    return session_kafka


@pytest.fixture(params=["tansu", "kafka"])
def broker(request):
    """Each broker in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def journal(tmp_path_factory):
    """A data directory whose engine runs: one for all tests, each of which names its runs by itself."""
    from tests.integration.fixtures import opened  # imports the whole product

    yield from opened(tmp_path_factory)


@pytest.fixture(scope="session")
def store(request):
    """A connection to a migrated journal: that of `journal`, or what `make mutants` lends to all of its children."""
    lent = [each.lent for each in request.config.pluginmanager.get_plugins() if hasattr(each, "lent")]
    if not lent:
        yield request.getfixturevalue("journal").store
        return
    from journal.store import connect

    with connect(*lent) as opened:
        yield opened


@pytest.fixture
def violet():
    """violet("sql", "SELECT 1", timeout=30, cwd=...) runs to its end -> CompletedProcess of text."""
    script = Path(sys.executable).with_name("violet")
    inline = [sys.executable, "-c", "from reactor.cli.main import main; main()"]
    start = [str(script)] if script.exists() else inline

    def run(*arguments, timeout=60, **options):
        line = [*start, *map(str, arguments)]
        return subprocess.run(line, check=False, capture_output=True, text=True, timeout=timeout, **options)

    return run


@pytest.fixture
def golden(request):
    """golden(NAME, text): the text equals tests/golden/NAME, which `make golden` rewrites on purpose."""

    def compare(name, text):
        file = GOLDEN / name
        if request.config.getoption("--rewrite-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.read_text("utf-8") == text

    return compare
