"""The rooms of the house as the imports draw them: few, one above the other, and no way back."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("deploy", "journal", "lanes", "reactor", "violet")
ROOMS, FLOORS, ARROWS = 16, 8, 65
FUNCTION = 60  # lines, decorators not counted


def room(module):
    """The room of a dotted module, or of a name in one: a package, and below reactor each part by itself."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "reactor" else parts[0]


def files(root):
    return sorted(file for top in TOPS for file in (root / top).rglob("*.py"))


@cache
def tree(file):
    return ast.parse(file.read_text("utf-8"))


def imports(root, file):
    """Dotted names that a file imports from the house, wherever they stand: in functions and for types alone too."""
    package = file.relative_to(root).parent.parts
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            found = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in found if name.split(".")[0] in TOPS)


def draw(root=ROOT):
    """Arrows between rooms: (from, to) -> the imports that make it, as FILE:LINE NAME."""
    arrows = {}
    for file in files(root):
        name = file.relative_to(root)
        mine = room(".".join(name.with_suffix("").parts).removesuffix(".__init__"))
        for line, module in imports(root, file):
            if room(module) != mine:
                arrows.setdefault((mine, room(module)), []).append(f"{name}:{line} {module}")
    return arrows


def rooms(arrows, root=ROOT):
    """Every room that holds code, and where it stands: the longest way down from it, counted from 1; None in a circle."""
    holding = {
        room(".".join(f.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
        for f in files(root)
        if any(not isinstance(node, ast.Expr) for node in tree(f).body)
    }
    below = defaultdict(set)
    for upper, lower in arrows:
        below[upper].add(lower)
    floors, left = {}, holding | {each for arrow in arrows for each in arrow}
    while ready := {each for each in left if below[each] <= floors.keys()}:
        floors |= {each: 1 + max((floors[b] for b in below[each]), default=0) for each in ready}
        left -= ready
    return floors | dict.fromkeys(left)


def circle(arrows, floors):
    """The arrows between rooms from which a way leads back to themselves."""
    left = {pair: found for pair, found in arrows.items() if None is floors[pair[0]] is floors[pair[1]]}
    while ends := {of for of, _ in left} - {to for _, to in left}:  # above the circle
        left = {pair: found for pair, found in left.items() if pair[0] not in ends}
    return left


def table(arrows, floors):
    """The drawing as text, the top floor first; what stands in a circle, or above one, has no floor."""
    lines = [f"{len(floors)} rooms, {len(set(floors.values()))} floors, {len(arrows)} arrows"]
    for name in sorted(floors, key=lambda each: (-(floors[each] or FLOORS + 99), each)):
        lower = [f"{to} ({len(found)})" for (of, to), found in sorted(arrows.items()) if of == name]
        lines.append(f"{floors[name] or '?':>3}  {name:18} -> {', '.join(lower)}")
    for (of, to), found in circle(arrows, floors).items():
        lines += [f"in a circle: {of} -> {to}", *(f"    {each}" for each in found)]
    return "\n".join(lines)


def test_the_house_has_few_rooms_and_floors_and_no_way_back():
    arrows = draw()
    floors = rooms(arrows)
    drawing = table(arrows, floors)
    assert None not in floors.values(), drawing
    assert max(floors.values()) <= FLOORS, drawing
    # Rooms are packages: deploy/ has a floor and no way back either, but it is scripts that nobody installs.
    assert len(floors.keys() - {"deploy"}) <= ROOMS, drawing
    assert sum(of != "deploy" for of, _ in arrows) <= ARROWS, drawing


def functions(file):
    """Functions of a file with how many lines they have, and the text that lies beside each: above it and in it."""
    lines = file.read_text("utf-8").splitlines()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
            above = first
            while above and lines[above - 1].lstrip().startswith("#"):
                above -= 1
            yield node.name, node.end_lineno - node.lineno + 1, "\n".join(lines[above : node.end_lineno])


def test_a_long_function_has_its_reason_beside_it():
    found = [
        f"{file.relative_to(ROOT)}: {name} has {length} lines; write '# Long since ...' above it, or cut it"
        for file in files(ROOT)
        for name, length, text in functions(file)
        if length > FUNCTION and not re.search(r"# Long since \w+ \w+ \w+", text)
    ]
    assert found == []


@pytest.fixture
def house(tmp_path):
    """A house of three rooms, one above the other."""

    def build(**modules):
        told = {
            "lanes/code.py": "X = 1",
            "journal/row.py": "import lanes.code",
            "reactor/run/loop.py": "from journal import row",
        }
        for name, text in (told | modules).items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        return tmp_path

    return build


def test_the_drawing_has_floors(house):
    root = house()
    assert rooms(draw(root), root) == {"reactor.run": 3, "journal": 2, "lanes": 1}


@pytest.mark.parametrize(
    "way",
    [
        "import reactor.run",
        "def late():\n    from reactor.run import loop",
        "if TYPE_CHECKING:\n    from reactor.run import loop",
    ],
)
def test_a_way_back_is_seen_wherever_it_stands(house, way):
    root = house(**{"journal/row.py": f"import lanes.code\n{way}"})
    floors = rooms(draw(root), root)
    assert floors == {"reactor.run": None, "journal": None, "lanes": 1}
    assert "journal/row.py:" in table(draw(root), floors)


def test_a_relative_import_is_an_arrow_too(house):
    root = house(**{"reactor/log/kafka.py": "from ..run import loop", "reactor/log/memory.py": "from . import kafka"})
    assert {pair for pair in draw(root) if pair[0] == "reactor.log"} == {("reactor.log", "reactor.run")}
