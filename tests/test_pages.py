"""The pages: every command and path in them is real, every block says which test runs it, generated pages are current."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lanes.profile import PROFILES
from lanes.registry import PLANES
from reactor.cli.main import COMMANDS, violet
from reactor.feed import mapping
from tests.test_house import DOCS, MODULES, ROOT, files, name

sys.path.insert(0, str(ROOT / "docs"))
import generate

FENCE = re.compile(
    r"^(?P<above>[^\n]*)\n(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)\n(?P=indent)```$", re.MULTILINE | re.DOTALL
)
MARK = re.compile(
    r"<!-- (?:run|file: [\w.-]+|run by (?P<tests>tests/[\w/.-]+)|not run(?: as it stands)?: (?P<why>.{10,})) -->"
)
# Documents that the repository does not hold. What they say stands in docs/design/sources.md, under names of its own.
ELSEWHERE = re.compile(
    r"\bSPEC\b|\bseed \d|\brequirements \d|\b[VC]-\d{1,3}\b(?!\d)|\bHOUSE(?:\.md|:|,| says)|\breliability section"
)
SOURCES = ROOT / "docs/design/sources.md"
SHOWN = {"text", "json"}  # pictures, outputs and records: nothing to run


def blocks(doc):
    """The fenced blocks of a page: line above, language, body."""
    for match in FENCE.finditer(doc.read_text("utf-8")):
        yield match["above"].strip(), match["language"], match["body"]


def anchors(doc):
    """The anchors of a page's headings, as GitHub forms them."""
    heads = re.findall(r"^#+ (.+)$", doc.read_text("utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", re.sub(r"\[(.+?)\]\(.+?\)", r"\1", head)).lower().replace(" ", "-") for head in heads
    }


def command(words):
    """The command that words after `violet` name, or None; what follows of them."""
    if not words or words[0] not in COMMANDS:
        return None, words
    found = importlib.import_module(f"reactor.cli.{words[0].replace('-', '_')}").command
    rest = words[1:]
    while isinstance(found, click.Group) and rest and rest[0] in found.commands:
        found, rest = found.commands[rest[0]], rest[1:]
    return found, rest


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_block_says_which_test_runs_it(doc):
    text = doc.read_text("utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(list(blocks(doc)))
    for above, language, body in blocks(doc):
        assert language, f"a language must stand behind the fence of {body[:60]!r}"
        if language in SHOWN:
            continue
        mark = MARK.fullmatch(above)
        assert mark, (
            f"above the block {body[:60]!r} must stand <!-- run -->, <!-- run by tests/... --> or <!-- not run: why -->"
        )
        if mark["tests"]:
            assert name(doc) in (ROOT / mark["tests"]).read_text("utf-8"), f"{mark['tests']} does not read {name(doc)}"


def unknown(line):
    """What a command line names that its command does not have."""
    words = re.sub(r'"[^"]*"|\'[^\']*\'', "TEXT", line.partition("  #")[0].partition(" | ")[0]).split()
    if not words or words[0].rpartition("/")[2] != "violet":
        return []
    found, rest = command(words[1:])
    if found is None:
        return [] if words[1:2] in (["COMMAND"], ["--help"]) else words[1:2]
    known = {"--help", *(o for p in found.params for o in (*p.opts, *p.secondary_opts))}
    return [word for word in rest if word.startswith("--") and word not in known]


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_option_in_the_pages_exists(doc):
    said = [body for _, language, body in blocks(doc) if language in ("sh", "bash")]
    said += re.findall(r"`(violet [^`]+)`", doc.read_text("utf-8"))
    for line in (line.strip() for block in said for line in block.replace("\\\n", " ").splitlines()):
        assert unknown(line) == [], line


def commands(group, path=()):
    """Every command that runs, with the words that call it."""
    for word in group.list_commands(None):
        found = group.get_command(None, word)
        yield from commands(found, (*path, word)) if isinstance(found, click.Group) else [((*path, word), found)]


@pytest.mark.parametrize(
    ("words", "found"), list(commands(violet)), ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
def test_every_command_has_an_example_in_its_help_that_is_right(words, found):
    examples = re.findall(r"^ *(violet .+)$", found.help, re.MULTILINE)
    assert any(line.startswith(f"violet {' '.join(words)}") for line in examples)
    assert [line for line in examples if unknown(line)] == []


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_link_leads_somewhere(doc):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", doc.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        page = (doc.parent / path).resolve() if path else doc
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def test_every_page_is_reached_from_the_readme():
    seen, due = set(), [ROOT / "README.md"]
    while due:
        page = due.pop()
        seen.add(page)
        links = re.findall(r"\]\((?!https?:|#)([^)#]+\.md)", page.read_text("utf-8"))
        due += [p for link in links if (p := (page.parent / link).resolve()) not in seen]
    assert set(DOCS) - seen == set()


@pytest.mark.parametrize("doc", DOCS, ids=name)
def test_every_module_that_a_page_names_exists(doc):
    for dotted in re.findall(r"(?<![\w./-])(?:lanes|reactor|journal)(?:\.(?!md\b)[a-z_]+)+\b", doc.read_text("utf-8")):
        at = ROOT.joinpath(*dotted.split("."))  # a package, a module, or a name in one
        assert at.is_dir() or any(each.with_suffix(".py").is_file() for each in (at, at.parent)), dotted


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_page_that_the_code_names_exists(module):
    named = set(re.findall(r"\bdocs/[\w/-]+\.md\b", module.read_text("utf-8")))
    assert sorted(page for page in named if not (ROOT / page).is_file()) == []


def test_no_file_refers_to_a_document_that_is_not_here():
    found = []
    for file in files():
        if file.suffix in (".py", ".sql", ".md", ".toml", ".yml", ".js", ".html") and file != Path(__file__).resolve():
            found += [f"{name(file)}: {match[0]}" for match in ELSEWHERE.finditer(file.read_text("utf-8"))]
    assert found == []


def test_every_source_that_the_code_names_is_explained():
    known = set(re.findall(r"^\| ((?:findings|default) \w+) \|", SOURCES.read_text("utf-8"), re.MULTILINE))
    for file in (*MODULES, *(ROOT / "sql").rglob("*.sql"), *DOCS):
        named = re.findall(r"\b[Ff]indings (\d\w*)\b", file.read_text("utf-8"))
        assert {f"findings {section}" for section in named} <= known, name(file)


@pytest.mark.parametrize(
    "words", ["SPEC section 3", "seed 004 section 8b", "requirements 9.2", "(V-076)", "C-9", "HOUSE says"]
)
def test_the_search_for_documents_would_find_one(words):
    assert ELSEWHERE.search(words)


def test_the_lane_of_the_page_is_that_of_the_tests():
    (body,) = (body for above, _, body in blocks(ROOT / "docs/lane.md") if above == "<!-- file: funding.py -->")
    assert body + "\n" == (ROOT / "tests/own_lane/funding.py").read_text("utf-8")


def test_the_reference_is_that_of_the_models():
    assert (ROOT / "docs/reference.md").read_text("utf-8") == generate.reference(), "fix: make pages"


def test_the_table_of_faults_is_that_of_the_drill():
    assert (ROOT / "docs/design/faults.md").read_text("utf-8") == generate.faults(), "fix: make pages"


def test_the_mapping_explains_every_key():
    assert {key for keys in mapping._SPEC_KEYS.values() for key in keys} | {"path", "const"} == set(mapping.FIELD_KEYS)


def test_the_list_of_metrics_that_a_page_names_is_there():
    said = subprocess.run(
        [sys.executable, "-m", "reactor.watch.metrics"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "violet_lane" in said.stdout


def test_the_reference_means_something_by_every_plane_and_param_of_ours():
    """What only a package's lane has stays empty there; of ours nothing may."""
    for plane in PLANES.values():
        assert generate.NEVER[plane.name]
        assert all(generate.VALUES[f"{plane.name}.{name}"] for form in plane.names for name in form)
    for table, params in PROFILES["blue_8b"]:
        for key in params.model_dump() if table != "name" else ():
            assert generate.PARAMS.get(f"{table}.{key}") or generate.PARAMS[key], f"{table}.{key}"
