"""Fused: every lane and the fan-in over blocks of bindings, scan by scan, in one loop of machine code.

A binding is a set of params for the frozen graph of the lanes. Here params are columns, and a scan's inputs are
constants: what `lanes.columns` has the other way round. The source of the loop is written from the lanes' declarations.
Each lane's own scalar kernel is inlined; only the base lane's power, which would be a call of libm a value, is
`lanes.power`'s, which has libm's bits. A lane of which no binding changes a param is read from a column.

Bindings do not know of each other and each adds up its scans in their order, so neither the size of a block nor the
number of threads changes a bit. See docs/design/lanes.md.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes import power
from lanes.code import Bound, PlaneForm
from lanes.kernel import Floats, Kernel
from lanes.profile import Profile

BLOCK: Final = 256  # bindings whose columns and sums stay in the cache while the scans go by
STRIDE: Final = BLOCK + 8  # from row to row of a block; at a power of two the rows would share a few lines of the cache
ALPHA: Final = 0.01  # a counter holds values that differ by at most so much from the one that stands for it
_FANIN: Final = (
    "base.thr", "base.min_lev", "base.base_max", "fanin.abs_max", "fanin.stalker_cap", "fanin.fraction",
    "fanin.paper_capital_usd",
)  # fmt: skip
_SCAN: Final = ("vel_div", "stalker", "capital_usd", "capital.seen")
BOUNDS: Final = tuple(bound.name.lower() for bound in Bound)  # in the order of their bits in a packed count
SUMS: Final = ("leverage_sum", "leverage_min", "leverage_max", "notional_sum_usd", "notional_max_usd", "non_finite")
# Lanes of which a multiplier of their plane, or none, is taken as it is: their params matter for the inputs form alone.
_OF_INPUTS: Final = {"acb": "acb.form", "ob": "ob.form"}
_WORK: Final = ("strength", "low", "lev", "usd", "finite")
_PACKED_BITS: Final = 12  # of each bound; so many scans are counted before the counts are taken out
_FLUSH: Final = (1 << _PACKED_BITS) - 1
_CELL_BITS: Final = 44  # 256 cells an octave: each holds at most one threshold of a counter

# {...} is filled in from the lanes. W holds all columns of a block of bindings, each at a place that the compiler
# knows: so it sees that they do not overlap, and vectorises. `+ j` counts bindings.
_LOOP: Final = """
def fused(X, F, C, varies, swept, toggled, whole, thresholds, cells, bounds, sums, histogram, lev_rows, usd_rows,
          finite_rows{fixed}):
    W, sure, packed = np.empty({size}), np.empty(BLOCK, np.bool_), np.empty(BLOCK, np.int64)
    bits = W[{lev} : {lev} + BLOCK].view(np.int64)
    for first in range(0, C.shape[1], BLOCK):
        n = min(BLOCK, C.shape[1] - first)
        for k in range(len(C)):
            if varies[k]:
                W[k * STRIDE : k * STRIDE + n] = C[k, first : first + n]
            elif first == 0:
                W[k * STRIDE : (k + 1) * STRIDE] = C[k, 0]
        W[{leverage_sum} :] = 0.0
        W[{leverage_min} : {leverage_min} + n] = np.inf
        for start in range(0, len(X), FLUSH):
            packed[:] = 0
            for s in range(start, min(start + FLUSH, len(X))):
{lanes}
                is_stalker, vel_div = X[s, {stalker}] != 0.0, X[s, {vel_div}]
                is_seen, capital, bad = X[s, {seen}] != 0.0, X[s, {capital_usd}], 0
                for j in range(n):
                    raw = {raw}
                    product = {product}
                    abs_max, stalker_cap, least = W[{abs_max} + j], W[{stalker_cap} + j], W[{min_lev} + j]
                    cap = abs_max if abs_max < product else product
                    cap = stalker_cap if is_stalker & (stalker_cap < cap) else cap
                    bounded = cap if cap < raw else raw
                    leverage = bounded if bounded > least else least
                    notional = (capital if is_seen else W[{paper} + j]) * W[{fraction} + j] * leverage
                    is_finite = (abs(raw) <= MOST) & (abs(product) <= MOST) & (abs(notional) <= MOST)
                    bad |= np.int64(not is_finite)
                    alive = is_finite & (vel_div < W[{thr} + j])
                    W[{lev} + j] = leverage
                    W[{usd} + j] = notional
                    W[{finite} + j] = 1.0 if is_finite else 0.0
                    code = CAP
                    code = ABS if cap == abs_max else code
                    code = STALKER if is_stalker & (cap == stalker_cap) else code
                    code = PRODUCT if raw <= cap else code
                    code = FLOOR if bounded < least else code
                    packed[j] += code if alive else 0
                    W[{leverage_sum} + j] += leverage if alive else 0.0
                    W[{notional_sum_usd} + j] += notional if alive else 0.0
                    low, high, most = W[{leverage_min} + j], W[{leverage_max} + j], W[{notional_max_usd} + j]
                    W[{leverage_min} + j] = leverage if alive & (leverage < low) else low
                    W[{leverage_max} + j] = leverage if alive & (leverage > high) else high
                    W[{notional_max_usd} + j] = notional if alive & (notional > most) else most
                if bad:
                    for j in range(n):
                        W[{non_finite} + j] += 1.0 if (vel_div < W[{thr} + j]) & (W[{finite} + j] == 0.0) else 0.0
                if len(histogram):
                    last = len(thresholds) - 1
                    for j in range(n):
                        if (vel_div < W[{thr} + j]) & (W[{finite} + j] != 0.0):
                            cell = min(max((bits[j] >> CELL_BITS) - cells[0], 0), len(cells) - 2)
                            at = cells[1 + cell]
                            at += (at < last) & (W[{lev} + j] >= thresholds[min(at + 1, last)])
                            histogram[first + j, at] += 1
                if len(lev_rows):
                    for j in range(n):
                        lev_rows[s, first + j], usd_rows[s, first + j] = W[{lev} + j], W[{usd} + j]
                        finite_rows[s, first + j] = W[{finite} + j] != 0.0
            for k in range(len(bounds)):
                for j in range(n):
                    bounds[k, first + j] += packed[j] >> PACKED_BITS * k & FLUSH
        for k in range(len(sums)):
            for j in range(n):
                sums[k, first + j] = W[{leverage_sum} + k * STRIDE + j]
"""


@dataclass(frozen=True)
class Graph:
    """The frozen graph of a profile's lanes: which columns it reads of scans and of bindings, and its loop.

    fixed: lanes that keep their column, for a kernel of somebody else stands in them.
    """

    profile: Profile
    fixed: frozenset[str] = frozenset()

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns of a scan."""
        return tuple(dict.fromkeys(chain(*(lane.inputs for lane in self.profile.lanes), _SCAN)))

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Params that a binding may set, TABLE.KEY, in the order of its columns. Only lanes that are on can be off."""
        lanes = [lane for lane in self.profile.lanes if lane.name not in self.fixed]
        numbers = (name for lane in lanes for name in self._constants(lane) if _is_number(self.profile.param(name)))
        return tuple(dict.fromkeys(chain(numbers, _FANIN, (f"{lane.name}.enabled" for lane in lanes))))

    def own(self) -> Floats:
        """The profile's own params, in the order of `params`."""
        return np.array([number(self.profile.param(name)) for name in self.params])

    def changed(self, names: Any) -> NDArray[np.bool_]:
        """Of each lane, whether one of these params is its own or borrowed by it."""
        named = frozenset(names)
        return np.array([
            lane.name not in self.fixed and not named.isdisjoint((*self._constants(lane), f"{lane.name}.enabled"))
            for lane in self.profile.lanes
        ])  # fmt: skip

    @staticmethod
    def _constants(lane: Any) -> list[str]:
        return [name if "." in name else f"{lane.name}.{name}" for name in lane.constants]

    @cached_property
    def texts(self) -> list[str]:
        """Constants that are no single numbers: the same for every binding."""
        names = chain(*(self._constants(lane) for lane in self.profile.lanes))
        return list(dict.fromkeys(name for name in names if not _is_number(self.profile.param(name))))

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in W each row begins: params, values of the lanes, room to work in, sums."""
        names = (*self.params, *(lane.name for lane in self.profile.lanes), *_WORK, *SUMS)
        return {name: row * STRIDE for row, name in enumerate(names)}

    @cached_property
    def loop(self) -> Kernel[..., None]:
        """The loop, compiled at its first call."""
        lanes, at = self.profile.lanes, self.places
        values: dict[str, Any] = {"np": np, "powers": power.powers, "MOST": float(np.finfo(np.float64).max)}
        values |= {
            "BLOCK": BLOCK,
            "STRIDE": STRIDE,
            "FLUSH": _FLUSH,
            "PACKED_BITS": _PACKED_BITS,
            "CELL_BITS": _CELL_BITS,
        }
        values |= {**{b.name: 1 << _PACKED_BITS * b.value for b in Bound}}
        values |= {f"kernel_{k}": lane.kernel for k, lane in enumerate(lanes)}
        of = [f"W[{at[lane.name]} + j]" for lane in lanes]
        inside = [each for lane, each in zip(lanes, of, strict=True) if lane.inside_cap]
        source = _LOOP.format(
            size=len(at) * STRIDE,
            fixed="".join(f", fixed_{i}" for i in range(len(self.texts))),
            lanes="\n".join(f"{' ' * 16}{line}" for k in range(len(lanes)) for line in self._over(k)),
            raw=" * ".join(of),
            product=" * ".join([f"W[{at['base.base_max']} + j]", *inside]),
            paper=at["fanin.paper_capital_usd"], seen=self.inputs.index("capital.seen"),
            **{name: self.inputs.index(name) for name in ("stalker", "vel_div", "capital_usd")},
            **{name.partition(".")[2]: at[name] for name in _FANIN},
            **{name: at[name] for name in (*_WORK, *SUMS)},
        )  # fmt: skip
        namespace = {**values, "__name__": __name__}
        exec(compile(source, __file__, "exec"), namespace)  # noqa: S102 - of the lanes' own declarations
        return Kernel(namespace["fused"], threads=True)

    def _over(self, k: int) -> list[str]:
        """Lines that put a lane's values of one scan into its row, for every binding."""
        lane, at = self.profile.lanes[k], self.places
        row = f"W[{at[lane.name]} + j]"
        fixed = ["    for j in range(n):", f"        {row} = F[s, {k}]"]
        if lane.name in self.fixed:
            return ["if True:", *fixed]
        texts = {name: f"fixed_{i}" for i, name in enumerate(self.texts)}
        given = [f"X[s, {self.inputs.index(name)}]" for name in lane.inputs]
        given += [texts.get(name) or f"W[{at[name]} + j]" for name in self._constants(lane)]
        loop = [
            "    for j in range(n):",
            f"        {', '.join([*('_' for _ in lane.components), row])} = kernel_{k}({', '.join(given)})",
        ]
        where = ""
        if lane.name in _OF_INPUTS:
            form = self.inputs.index(_OF_INPUTS[lane.name])
            where = f" and (toggled[{k}] or X[s, {form}] == {float(PlaneForm.INPUTS)})"
        first = [f"if swept[{k}]{where}:", *loop]
        if lane.name == "base":
            thr, extreme, least, most = (
                f"W[{at[f'base.{each}']} + j]" for each in ("thr", "extreme", "min_lev", "base_max")
            )
            strength, power_of, low = (f"W[{at[each]} : {at[each]} + n]" for each in ("strength", "base", "low"))
            first = [
                f"if swept[{k}] and whole > 0:",
                "    for j in range(n):",
                f"        x = ({thr} - X[s, {self.inputs.index('vel_div')}]) / ({thr} - {extreme})",
                f"        W[{at['strength']} + j] = 0.0 if x < 0.0 else 1.0 if x > 1.0 else x",
                f"    powers({strength}, whole, {power_of}, {low}, sure)",
                "    for j in range(n):",
                f"        {row} = {least} + {row} * ({most} - {least})",
                f"elif swept[{k}]:", *loop,
            ]  # fmt: skip
        off = f"        {row} = {row} if W[{at[f'{lane.name}.enabled']} + j] != 0.0 else 1.0"
        return [*first, "else:", *fixed, f"if swept[{k}] and toggled[{k}]:", "    for j in range(n):", off]


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def number(value: Any) -> float:
    """A param as a number; no cap is one that is never reached."""
    return float("inf") if value is None else float(value)


@dataclass(frozen=True)
class Counters:
    """Logarithmic counters over the range of leverage. thresholds: where each begins; cells: see `_LOOP`."""

    thresholds: Floats
    cells: NDArray[np.int64]

    @classmethod
    def over(cls, least: float, most: float) -> "Counters":
        """Counters from `least` to `most`: 145 from 0.5 to 9. What lies below is in the first, above in the last."""
        least, most = max(least, most / 1000.0), max(most, least)
        growth, found = (1.0 + ALPHA) / (1.0 - ALPHA), [least]
        while found[-1] * growth <= most:  # products alone: the same bits on every machine
            found.append(found[-1] * growth)
        thresholds = np.array(found)
        first, last = (int(np.float64(x).view(np.int64)) >> _CELL_BITS for x in (least, most))
        begins = (np.arange(first, last + 1, dtype=np.int64) << _CELL_BITS).view(np.float64)
        places = np.maximum(np.searchsorted(thresholds, begins, side="right") - 1, 0)
        return cls(thresholds, np.array([first, *places], dtype=np.int64))

    @property
    def values(self) -> Floats:
        """What stands for each counter."""
        return self.thresholds * (1.0 + ALPHA)


NONE: Final = Counters(np.empty(0), np.zeros(2, np.int64))


@dataclass(frozen=True)
class Block:
    """What some bindings gave.

    bounds: decisions by what held them, one row a Bound. sums: one row a name of SUMS. histogram: one row a binding.
    """

    bounds: NDArray[np.int64]
    sums: Floats
    histogram: NDArray[np.uint32]


@dataclass(frozen=True)
class Rows:
    """Leverage and notional of every scan (row) under every binding (column), and whether all of it is finite."""

    leverage: Floats
    notional_usd: Floats
    finite: NDArray[np.bool_]


def aggregate(
    graph: Graph, scans: Floats, lanes: Floats, params: Floats, swept: NDArray[np.bool_], counters: Counters = NONE
) -> Block:
    """Sums and counts over the scans that decide.

    Args:
        graph: the lanes.
        scans: one row a scan that decides under the greatest base.thr, in the order of graph.inputs.
        lanes: of each scan every lane's value under the profile's own params.
        params: one column a binding, in the order of graph.params.
        swept: see graph.changed; the other lanes' values are taken from `lanes`.
        counters: of leverage; NONE counts nothing.
    """
    nothing = (np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0), np.bool_))
    return _run(graph, scans, lanes, params, swept, counters, nothing)


def rows(graph: Graph, scans: Floats, lanes: Floats, params: Floats, swept: NDArray[np.bool_]) -> Rows:
    """Every size by itself. Args: as of `aggregate`, but scans need not decide."""
    shape = (len(scans), params.shape[1])
    out = (np.empty(shape), np.empty(shape), np.empty(shape, np.bool_))
    _run(graph, scans, lanes, params, swept, NONE, out)
    return Rows(*out)


def _run(
    graph: Graph, scans: Floats, lanes: Floats, params: Floats, swept: NDArray[np.bool_], counters: Counters, out: Any
) -> Block:
    n, width, at = params.shape[1], len(counters.thresholds), {name: i for i, name in enumerate(graph.params)}
    bounds, sums = np.zeros((len(BOUNDS), n), np.int64), np.empty((len(SUMS), n))
    histogram = np.zeros((n if width else 0, max(1, width)), np.uint32)
    toggled = np.array([  # is it off under some binding, the profile's own among them
        lane.name not in graph.fixed
        and not (params[at[f"{lane.name}.enabled"]].all() and graph.profile.of(lane.name).enabled)
        for lane in graph.profile.lanes
    ])  # fmt: skip
    varies = (params != params[:, :1]).any(axis=1)
    graph.loop(
        scans, lanes, params, varies, swept, toggled, _whole(graph, params), counters.thresholds, counters.cells,
        bounds, sums, histogram, *out, *(graph.profile.param(name) for name in graph.texts),
    )  # fmt: skip
    return Block(bounds, sums, histogram)


def _whole(graph: Graph, params: Floats) -> int:
    """The convexity of all these bindings where it is one small whole number and libm is close; else 0."""
    if "base.convexity" not in graph.params:
        return 0
    given = params[graph.params.index("base.convexity")]
    first = float(given[0])
    is_whole = first.is_integer() and 1.0 <= first <= power.HIGHEST and bool((given == first).all())
    return int(first) if is_whole and power.is_libm_close() else 0
