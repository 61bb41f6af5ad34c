"""Mutation testing: each small change of the code that decides must make a test fail.

    python -m tests.mutants [--within SECONDS] [--jobs N] [--list] [PATH[::FUNCTION] ...]

One child process a mutant. It is forked from a process that has the libraries imported, loads the one changed module in
place of the file, and runs the tests of its package up to the first that fails. A mutant that no test notices survives;
docs/design/mutants.md lists those that may, and why. --within: try mutants in a drawn order, each target in turn, until
the time is over.

Compiled kernels run as the plain Python that they are (tests/lanes/test_twin.py proves that both give the same bits),
so no cache of machine code can hide a change.
"""

import argparse
import ast
import contextlib
import hashlib
import importlib.util
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from itertools import chain, zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "docs" / "design" / "mutants.md"
# What is mutated, and the tests that are to notice.
TARGETS = {
    "lanes": ("tests/lanes",),
    "reactor/evaluate": (
        "tests/reactor/evaluate",
        "tests/reactor/tap/test_reading.py",
        "tests/reactor/topology/test_join.py",
    ),
    "journal/ledger": ("tests/journal/ledger",),
}
# How kernels are compiled and kept shows in no plain Python: tests/lanes/test_lane.py and test_cache.py ask the compiler.
COMPILER = {"lanes/kernel.py", "lanes/cache.py"}
# Tests that are left out: a million points, which plain Python takes minutes for, powers that are too large, for which it
# raises where a kernel gives infinity, and what asks for the compiler itself.
LEFT_OUT = (
    "test_columns_give_the_bits", "test_a_million_cubes", "test_every_power_and_edge", "test_a_loop_calls_only_kernels_of_its_file",
    "test_kernels_are_compiled_without_licence_to_reorder", "test_cache",
)  # fmt: skip
LIMIT = 5  # times as long as the unchanged code's tests: a mutant that runs longer hangs, which is noticed too
OURS = ("lanes", "journal", "reactor", "sql", "tests")

_SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
# Keywords that say what a reader may count on, or how memory is kept: no outcome hangs on them.
_NO_CHANGE = ("strict", "gc")
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Of SQL: what stands on the left becomes what stands on the right.
_SQL = (
    (" = ", " != "), (" != ", " = "), (" <= ", " < "), (" >= ", " > "), (" < ", " <= "), (" > ", " >= "),
    ("NOT IN", "IN"), ("AND NOT ", "AND "), ("min(", "max("), ("max(", "min("), ("argMax(", "argMin("), (" DESC", ""),
    (" + 1", ""), (" AND ", " OR "),
)  # fmt: skip
# Plugins are imported before the fork; numpy's scalars warn where a compiled kernel does not.
_PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin")  # all that the tests of the targets need
_QUIET = ("ignore::pytest.PytestAssertRewriteWarning", "ignore::RuntimeWarning")
_IS_SQL = re.compile(r"\b(SELECT|WHERE|AND|FROM|ORDER BY)\b")


@dataclass(frozen=True)
class Mutant:
    """The n-th change of a module. key: what it is, in words that outlive a shift of lines."""

    path: str
    n: int
    key: str
    line: int

    @property
    def target(self) -> str:
        return next(name for name in TARGETS if self.path.startswith(f"{name}/"))

    def code(self):
        """The changed module, compiled."""
        tree = ast.parse((ROOT / self.path).read_text("utf-8"))
        next(site for n, site in enumerate(sites(tree)) if n == self.n).change()
        return compile(ast.fix_missing_locations(tree), str(ROOT / self.path), "exec")


@dataclass
class Site:
    """A place where a module can be changed, within a function and a statement."""

    node: ast.AST
    change: Callable[[], None]
    within: str
    statement: ast.AST


def sites(tree: ast.Module) -> Iterator[Site]:
    """Every change of a module, in order; only one of them may be made of a tree."""
    yield from _sites(tree, [], tree)


def _sites(node, names, statement) -> Iterator[Site]:
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.AnnAssign | ast.arg) and not getattr(
        node, "value", None
    ):
        return  # words for people, and types
    if isinstance(node, ast.keyword) and node.arg in _NO_CHANGE:
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        names = [*names, node.name]
    if isinstance(node, ast.stmt):
        statement = node
    yield from (Site(node, change, ".".join(names), statement) for change in _changes(node))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "format_spec", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, ast.AST) and not is_docstring:
                yield from _sites(child, names, statement)


def _changes(node) -> Iterator[Callable[[], None]]:
    def put(**fields):
        return lambda: [setattr(node, name, value) for name, value in fields.items()]

    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                yield put(ops=[*ops[:at], _SWAPS[type(op)](), *ops[at + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _SWAPS:
            yield put(op=_SWAPS[type(op)]())
        case ast.BoolOp(values=values):
            for at in range(len(values)):
                yield put(values=[*values[:at], *values[at + 1 :]])
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield put(op=ast.UAdd() if not isinstance(node.op, ast.Not) else ast.Not(), **_without(node))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if _is_plain(test):
            yield put(test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=[test]) if _is_plain(test):
            yield put(ifs=[ast.UnaryOp(ast.Not(), test)])
        case ast.Constant(value=bool(value)):
            yield put(value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield put(value=value + 1)
        case ast.Constant(value=str(value)) if _IS_SQL.search(value):
            for old, new in _SQL:
                for match in re.finditer(rf"(?<!\w){re.escape(old)}" if old[0].isalpha() else re.escape(old), value):
                    yield put(value=value[: match.start()] + new + value[match.end() :])
        case ast.Name(id=name) if name in _NAMES:
            yield put(id=_NAMES[name])
        case ast.Expr(value=ast.Call()):
            yield put(value=ast.Constant(None))
        case ast.Continue() | ast.Break():
            yield lambda: setattr(node, "__class__", ast.Break if isinstance(node, ast.Continue) else ast.Continue)


def _without(node):
    """The fields of a unary node that lost its operator: `not x` becomes `not not x`."""
    return {"operand": ast.UnaryOp(ast.Not(), node.operand)} if isinstance(node.op, ast.Not) else {}


def _is_plain(test) -> bool:
    """Whether no other change turns the condition round."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)


def _words(statement) -> str:
    """A statement in one line; of a block its head alone."""
    return ast.unparse(statement).partition("\n")[0] if hasattr(statement, "body") else ast.unparse(statement)


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin alike with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _difference(old: str, new: str, around: int = 30) -> tuple[str, str]:
    """Two texts without what they begin and end alike with, but for a few characters of it."""
    head = _alike(old, new)
    tail = min(_alike(old[::-1], new[::-1]), len(old) - head, len(new) - head)
    first, last = max(0, head - around), max(0, tail - around)
    return tuple(" ".join(text[first : len(text) - last].split()).replace("`", "'") for text in (old, new))


def mutants(path: str) -> list[Mutant]:
    """Every mutant of a module."""
    text = (ROOT / path).read_text("utf-8")
    found, seen = [], Counter()
    for n in range(sum(1 for _ in sites(ast.parse(text)))):
        site = next(each for at, each in enumerate(sites(ast.parse(text))) if at == n)
        before, line = _words(site.statement), getattr(site.node, "lineno", site.statement.lineno)
        site.change()
        old, new = _difference(before, _words(site.statement))
        key = f"`{path}` `{site.within or 'module'}`: `{old}` -> `{new}`"
        seen[key] += 1
        found.append(Mutant(path, n, key + (f" ({seen[key]})" if seen[key] > 1 else ""), line))
    return found


def listed() -> set[str]:
    """Keys of the survivors that the document explains."""
    lines = LISTED.read_text("utf-8").splitlines() if LISTED.exists() else []
    return {
        match[1] for line in lines if (match := re.match(r"- (`.+?` `.+?`: `.*?` -> `.*?`(?: \(\d+\))?)(?: |$)", line))
    }


class _InPlace(MetaPathFinder, Loader):
    """Loads one module from changed code."""

    def __init__(self, mutant: Mutant) -> None:
        self._name, self._file = mutant.path[:-3].replace("/", "."), str(ROOT / mutant.path)
        self._code = mutant.code()

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_file_location(name, self._file, loader=self) if name == self._name else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self._code, module.__dict__)  # our own code, with one change


@dataclass(frozen=True)
class Shared:
    """A plugin that lends the tests of all children one engine with a migrated journal: see tests/conftest.py."""

    lent: object


def _plain_kernels() -> None:
    """Let numba give back the function itself. The row hash stays compiled: it counts on arithmetic that wraps.

    What a kernel has for the compiler alone, an intrinsic, is its plain form, which has a bar before the name.
    """
    import numba
    import numba.extending

    compiled = numba.njit

    def njit(*args, **options):
        def plain(function):
            if function.__module__ == "journal.row":
                return compiled(*args, **options)(function)
            function.py_func = function
            return function

        return plain

    numba.njit = njit
    numba.extending.intrinsic = lambda made: getattr(sys.modules[made.__module__], f"_{made.__name__}")


def _tests(path: str) -> list[list[str]]:
    """The tests of a module, then those of its package: most mutants do not come to the latter."""
    *folders, name = path.split("/")
    own = "/".join(["tests", *folders, f"test_{name}"])
    target = next(tests for prefix, tests in TARGETS.items() if path.startswith(f"{prefix}/"))
    return [*([[own]] if (ROOT / own).exists() else []), list(target)]


def _child(mutant: Mutant | None, tests: list[list[str]], shared: Shared, said: Path) -> None:
    """Run the tests in this process and leave it: 0 where all passed. said: where its output goes."""
    import pytest

    os.setsid()
    to = os.open(said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for fd in (1, 2):
        os.dup2(to, fd)
    code = 1
    try:
        _plain_kernels()
        if mutant is not None:
            sys.meta_path.insert(0, _InPlace(mutant))
        plugins = [part for each in ("no:cacheprovider", *_PLUGINS) for part in ("-p", each)]
        quiet = [part for each in _QUIET for part in ("-W", each)]
        for some in tests:
            code = pytest.main([*some, "-x", "-q", "-k", f"not ({' or '.join(LEFT_OUT)})", *plugins, *quiet], [shared])
            if code:
                break
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))


def _start(*arguments) -> int:
    pid = os.fork()
    if not pid:
        _child(*arguments)
    return pid


def _ends(running: dict[int, float], limit_s: float) -> Iterator[tuple[int, int]]:
    """Children that ended, or hung and were killed, with their exit codes; at least one."""
    while True:
        over = []
        for pid, began in running.items():
            if time.monotonic() - began > limit_s:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                over.append((pid, os.waitstatus_to_exitcode(status)))
        if over:
            yield from over
            return
        time.sleep(0.01)


def order(every: list[Mutant], seed: int) -> list[Mutant]:
    """A drawn order, each target in turn."""
    dice = random.Random(seed)
    groups = {name: [m for m in every if m.target == name] for name in TARGETS}
    for group in groups.values():
        dice.shuffle(group)
    return [m for m in chain(*zip_longest(*groups.values())) if m is not None]


def run(every: list[Mutant], shared: Shared, jobs: int, within_s: float) -> tuple[list[Mutant], int]:
    """Try mutants until the time is over: those that survived, and how many were tried."""
    longest_s = 5.0
    for name in sorted({m.target for m in every}):
        said, began = Path(tempfile.mkstemp(prefix="mutants-")[1]), time.monotonic()
        ((_, code),) = _ends({_start(None, [list(TARGETS[name])], shared, said): began}, 600)
        if code:
            raise RuntimeError(f"the tests of {name} fail in the unchanged code: exit {code}\n{said.read_text()}")
        said.unlink()
        longest_s = max(longest_s, time.monotonic() - began)
        print(f"{name}: all its tests take {time.monotonic() - began:.1f} s", flush=True)
    deadline = time.monotonic() + within_s
    todo, running, of = iter(every), {}, {}
    survived, tried = [], 0
    try:
        while True:
            while len(running) < jobs and time.monotonic() < deadline and (mutant := next(todo, None)) is not None:
                pid = _start(mutant, _tests(mutant.path), shared, Path(os.devnull))
                running[pid], of[pid] = time.monotonic(), mutant
            if not running:
                return survived, tried
            for pid, code in list(_ends(running, LIMIT * longest_s)):
                del running[pid]
                tried += 1
                if tried % 50 == 0:
                    print(f"{tried} tried, {len(survived)} survived", flush=True)
                if code == 5:
                    raise RuntimeError(f"no test ran for {of[pid].key}")
                if code == 0:
                    survived.append(of[pid])
                    print(f"survived: {of[pid].key}", flush=True)
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def engine() -> Iterator[Shared]:
    """One engine with a migrated journal for all children. What it imported of ours is forgotten again."""
    from journal.engine import owner
    from journal.keep.migrate import migrate
    from journal.store import connect

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, owner.running(Path(folder)) as address:
        with connect(address) as store:
            migrate(store, lambda name: None)
            tables = store.rows("SELECT name FROM system.tables WHERE name LIKE 'violet%' AND engine LIKE '%MergeTree'")
            for table in tables:  # no machine will go down here, and to wait for the disk is most of an insert
                quick = "MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0"
                store.command(f"ALTER TABLE {table['name']} {quick}")
        for name in [n for n in sys.modules if n.split(".")[0] in OURS and n not in ("tests", __name__)]:
            del sys.modules[name]
        yield Shared(address)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="PATH or PATH::FUNCTION; every target without one")
    parser.add_argument("--within", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    asked = parser.parse_args()
    paths = sorted({str(p.relative_to(ROOT)) for name in TARGETS for p in (ROOT / name).rglob("*.py")} - COMPILER)
    if asked.what:
        paths = [p for p in paths if any(p.startswith(each.partition("::")[0]) for each in asked.what)]
    functions = {each.partition("::")[2] for each in asked.what} - {""}
    every = [m for path in paths for m in mutants(path)]
    every = [m for m in every if not functions or any(f" `{name}`:" in m.key for name in functions)]
    if asked.list:
        print(*(f"{m.path}:{m.line} {m.key}" for m in every), sep="\n")
        return 0
    is_whole = not asked.what and asked.within == float("inf")
    if not is_whole:
        text = "".join((ROOT / path).read_text("utf-8") for path in paths)
        every = order(every, int(hashlib.sha256(text.encode()).hexdigest(), 16))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"], sys.dont_write_bytecode = "1", False
    for library in (*_PLUGINS, "numba", "hypothesis", "clickhouse_connect", "msgspec", "pydantic", "confluent_kafka"):
        importlib.import_module(library)
    os.chdir(ROOT)
    began, known = time.monotonic(), listed()
    with engine() as shared:
        survived, tried = run(every, shared, asked.jobs, asked.within)
    print(f"{tried} of {len(every)} mutants in {time.monotonic() - began:.0f} s, {len(survived)} survived")
    unknown = [m for m in survived if m.key not in known]
    for mutant in unknown:
        print(f"not explained in {LISTED.relative_to(ROOT)}: {mutant.path}:{mutant.line}\n- {mutant.key}")
    gone = known - {m.key for m in survived} if is_whole else set()
    for key in sorted(gone):
        print(f"explained, but it does not survive: {key}")
    return 1 if unknown or gone else 0


if __name__ == "__main__":
    sys.exit(main())
