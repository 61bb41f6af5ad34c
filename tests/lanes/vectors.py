"""The reference vectors as cases: floats as hex, other words as they are.

`golden_vectors.json` is this reading of the reference file, kept for where that file is not.
Written by: python -m tests.lanes.vectors > tests/lanes/golden_vectors.json
"""

import ast
import importlib.util
import json
import re
from pathlib import Path

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_vectors.json"
SHARED = HERE.parents[2] / "shared" / "vectors"  # beside the checkout

# Inputs that the generator's text leaves out.
ORDER = ((1.0, 1.34, 0.98, 0.9), (1.0, 1.38, 1.06, 0.8))
NOTIONAL_VEL_DIV = (-0.0337, -0.0337, -0.0279, -0.0499)

_COMPOSE = re.compile(
    r"(?P<name>.+) \| vd=(\S+) b8=(\S+) dc=(\S+) reg=(\S+) ob=(\S+) esof=(\S+) (?P<posture>\w+)"
    r" \| raw=(\S+) cap=(\S+) lev=(\S+) hex=(?P<hex>\S+) nf=(\S+) notional25k=(\S+)"
)


def hexes(*values):
    return [float(value).hex() for value in values]


def parse(text):
    """Cases by section. Raises where a line has another form, so that none is passed over."""
    sections = {}
    for line in text.splitlines():
        if line.startswith("## "):
            lines = sections.setdefault(line[3:].split(" [")[0], [line[3:]])
        else:
            lines.append(line)
    return {
        "base": [_base(line) for line in sections["base"][1:]],
        "compose": [_compose(line) for line in sections["compose"][1:]],
        "order": [_order(*pair) for pair in zip(sections["order matters"][1:], ORDER, strict=True)],
        "notional": [
            hexes(vd, *(line.split()[i] for i in (0, 1, 2, 4)))
            for line, vd in zip(sections["notional assoc"][1:], NOTIONAL_VEL_DIV, strict=True)
        ],
        "sc": [hexes(*re.sub("->|[(),]", " ", line).split()) for line in sections["sc"][1:]],
        "esof": _esof(sections["defaults esof"][0]),
        "acb": [hexes(x, beta, *out, mc) for x, beta, out, mc in _list(sections["defaults acb"][0])],
        "ob": [hexes(*case) for case in _list(sections["defaults ob"][0])],
    }


def _list(line):
    return ast.literal_eval(line[line.index("[") : line.rindex("]") + 1])


def _esof(line):
    missing, stale = line[line.rindex("]") + 1 :].split()
    assert missing == stale
    return [*(hexes(*case) for case in _list(line)), hexes("nan", missing)]


def _base(line):
    vel_div, s, cubed, eight, nine, fraction = (part.split()[-2:] for part in line.split(" | "))
    for text, bits in (eight, nine):
        assert float(text).hex() == float.fromhex(bits).hex()
    return hexes(vel_div[0], s[1], cubed[1], eight[0], nine[0], fraction[1])


def _compose(line):
    match = _COMPOSE.fullmatch(line)
    values = [v for i, v in enumerate(match.groups(), 1) if i not in match.re.groupindex.values()]
    assert float(values[8]).hex() == float.fromhex(match["hex"]).hex()
    return [match["name"], match["posture"], *hexes(*values)]


def _order(line, factors):
    vel_div, product, _, _, regrouped, *_ = line.split()
    return hexes(vel_div, *factors, product, regrouped)


def reference():
    """The independent generator as a module, or None where it is not."""
    if not (SHARED / "vectors.py").exists():
        return None
    spec = importlib.util.spec_from_file_location("vectors", SHARED / "vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dump(cases):
    """JSON, one case a line."""
    sections = (f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in cases.items())
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    print(dump(parse((SHARED / "vectors.txt").read_text("utf-8"))), end="")
