"""The mutation testing itself: it changes one thing, names it for good, and loads it in the place of the file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import LISTED, ROOT, TARGETS, listed, order, sites


def changed(text):
    """All changes of a module's text, as text again."""
    found = []
    for n in range(len(list(sites(ast.parse(text))))):
        tree = ast.parse(text)
        next(site for at, site in enumerate(sites(tree)) if at == n).change()
        found.append(ast.unparse(ast.fix_missing_locations(tree)))
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a and b or c", ["x = c", "x = a and b", "x = b or c", "x = a or c"]),
        ("x = a * b - 1", ["x = a * b + 1", "x = a / b - 1", "x = a * b - 2"]),
        ("x = min(a, True)", ["x = max(a, True)", "x = min(a, False)"]),
        ("if a:\n    f()", ["if not a:\n    f()", "if a:\n    None"]),
        ("if not a:\n    pass", ["if not not a:\n    pass"]),
        ("for a in b:\n    continue", ["for a in b:\n    break"]),
        ("x = [a for a in b if a]", ["x = [a for a in b if not a]"]),
        ("q = 'SELECT max(n) FROM t WHERE a <= 1'", ["q = 'SELECT max(n) FROM t WHERE a < 1'", "q = 'SELECT min(n) FROM t WHERE a <= 1'"]),
        ("def f(x: int = 1) -> int:\n    raise E(1 + 2)", ["def f(x: int=2) -> int:\n    raise E(1 + 2)"]),
        ("'''Words: 1 < 2.'''\nx = 'words'", []),
    ],
)  # fmt: skip
def test_a_change_is_one_and_words_are_left(text, wanted):
    assert sorted(changed(text)) == sorted(wanted)


def test_every_mutant_of_a_module_has_a_name_of_its_own_that_a_shift_of_lines_leaves(tmp_path, monkeypatch):
    path = "lanes/fanin.py"
    found = mutants.mutants(path)
    keys = [each.key for each in found]
    assert len(set(keys)) == len(keys) > 20
    moved = tmp_path / path
    moved.parent.mkdir()
    moved.write_text("# a line more\n" + (ROOT / path).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    again = mutants.mutants(path)
    assert [each.key for each in again] == keys
    assert [each.line for each in again] == [each.line + 1 for each in found]


def test_a_drawn_order_has_every_mutant_once_and_takes_the_targets_in_turn():
    every = [each for path in ("lanes/ob.py", "journal/ledger/run.py") for each in mutants.mutants(path)]
    some = order(every, 7)
    assert sorted(each.key for each in some) == sorted(each.key for each in every)
    assert some != every
    assert order(every, 7) == some
    assert order(every, 8) != some
    assert {each.target for each in some[:2]} == {"lanes", "journal/ledger"}


def test_what_is_listed_exists_and_has_its_reason():
    lines = [line for line in LISTED.read_text("utf-8").splitlines() if line.startswith("- `")]
    assert len(listed()) == len(lines)
    files = {key.split("`")[1] for key in listed()}
    assert all((ROOT / file).is_file() for file in files)
    there = {each.key for file in files for each in mutants.mutants(file)}
    assert listed() - there == set()
    assert [line for line in lines if not any(line.startswith(f"- {key} ") for key in listed())] == []
    assert all((ROOT / part).exists() for target, parts in TARGETS.items() for part in (target, *parts))


@pytest.mark.slow
def test_a_mutant_is_caught_and_one_that_survives_unexplained_fails(tmp_path):
    """`compose` alone: what survives there is explained, and is unexplained once the page is gone."""
    command = [sys.executable, "-m", "tests.mutants", "lanes/fanin.py::compose", "--jobs", "1"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 3 survived" in done.stdout
    code = f"from pathlib import Path; from tests import mutants; mutants.LISTED = Path({str(tmp_path / 'none')!r}); "
    code += "mutants.ROOT = Path(mutants.__file__).parents[1]; mutants.main.__globals__['listed'] = set; raise SystemExit(mutants.main())"
    command = [sys.executable, "-c", code, "lanes/fanin.py::compose"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stdout.count("- `lanes/fanin.py` `compose`") == 3
    assert Path(ROOT / "lanes/fanin.py").read_text("utf-8").startswith('"""')
