"""Surfaces: the forms in which the arithmetic exists, and how their bits compare on the same points.

A surface gives columns by name. The loops over columns, which a soak runs, are what every other one is compared with:
equal bits, both zeros apart, and NaN for NaN. A foreign kernel and SQL answer only where all is finite, for no other
scan has a value: it is a reject. See docs/design/universe.md.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from journal.judge.computed import computed
from journal.refusal import Refusal
from journal.row import SCORED, Coded, fold, rows
from journal.store import Store
from lanes import twin
from lanes.code import FIRST_MS, Outcome
from lanes.columns import Inputs, evaluate
from lanes.profile import Profile
from reactor.run.foreign import package_hash

Columns = Mapping[str, Any]
NAMED: Final = 20  # differences named at most


class Difference(Struct):
    """One value in which a surface differs. Numbers are as float.hex has them, so that they can be had again."""

    surface: str
    column: str
    place: str
    columns_gave: str
    surface_gave: str
    inputs: dict[str, str]


class Tally(Struct):
    """What a look at some points found. Sums wrap, so that their order does not matter."""

    points: int = 0
    points_hash: int = 0
    outcome_hash: int = 0
    compared: dict[str, int] = {}
    differing: dict[str, int] = {}
    first: list[Difference] = []

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        self.points += other.points
        self.points_hash = (self.points_hash + other.points_hash) % 2**64
        self.outcome_hash = (self.outcome_hash + other.outcome_hash) % 2**64
        self.compared = _summed(self.compared, other.compared)
        self.differing = _summed(self.differing, other.differing)
        self.first = (self.first + other.first)[:NAMED]


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns of a surface, for all rows, or for those at `at`; and why it gave none, by their place among these."""

    columns: Columns
    at: NDArray[np.int64] | None = None
    errors: Mapping[int, str] = field(default_factory=dict)


Surface = Callable[[Inputs, Profile, Columns], Answer]


def scalar(inputs: Inputs, profile: Profile, _: Columns) -> Answer:
    """The compiled scalar kernels, scan by scan."""
    return Answer(twin.scalar(inputs, profile))


def python(inputs: Inputs, profile: Profile, _: Columns) -> Answer:
    """Plain Python, scan by scan."""
    return Answer(twin.python(inputs, profile))


def against(path: str) -> tuple[Surface, str]:
    """A foreign kernel of the whole chain, and the hash of its package.

    Args:
        path: package.module:factory. factory(profile) gives a function of one point, which is a dictionary of inputs
            by the names of `Lane.inputs`, and that gives a dictionary with some of our columns.

    Raises:
        Refusal: it cannot be made.
    """
    module, colon, name = path.partition(":")
    if not colon:
        raise Refusal(f"--against must be package.module:factory, was {path!r}")
    try:
        factory, hash_ = getattr(importlib.import_module(module), name), package_hash(module)
    except BaseException as error:  # noqa: BLE001 - whatever a foreign module raises is a refusal, also SystemExit
        raise Refusal(
            f"--against {path} cannot be loaded ({type(error).__name__}: {error}); fix: install its package"
        ) from None
    made: dict[str, Any] = {}

    def surface(inputs: Inputs, profile: Profile, ours: Columns) -> Answer:
        if profile.hash not in made:
            try:
                made[profile.hash] = factory(profile)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the factory's
                raise Refusal(
                    f"--against {path} made no kernel of profile {profile.hash} ({type(error).__name__}: {error}); "
                    "fix: a factory that takes a profile and gives a function of one point"
                ) from None
        at = np.flatnonzero(ours["non_finite"] == 0)
        columns = [inputs[each][at].tolist() for each in inputs]
        given, errors = [], {}
        for place, point in enumerate(zip(*columns, strict=True)):
            try:
                answer = dict(made[profile.hash](dict(zip(inputs, point, strict=True))))
                given.append({n: ours[n].dtype.type(value) if n in ours else value for n, value in answer.items()})
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the kernel's
                given.append({})
                errors[place] = f"{type(error).__name__}: {error}"
        names = sorted({name for each in given for name in each})
        if strange := [name for name in names if name not in ours]:
            raise Refusal(f"--against {path} gave {strange[0]!r}; fix: give some of {', '.join(ours)}")
        return Answer({n: np.array([each.get(n, np.nan) for each in given], ours[n].dtype) for n in names}, at, errors)

    return surface, hash_


def sql(store: Store) -> Surface:
    """What the journal's view and its row hash compute in ClickHouse, of the rows that a journal takes."""

    def surface(inputs: Inputs, profile: Profile, ours: Columns) -> Answer:
        at = np.flatnonzero(_journaled(inputs, profile, ours))
        block = rows(Outcome.DECISION, at, _stored(inputs, profile, ours, at))
        run_id = f"{profile.hash}-{block.digest()}"
        found = computed(store, run_id, block)
        return Answer(found, at)

    return surface


def look(inputs: Inputs, profile: Profile, surfaces: Mapping[str, Surface], place: str) -> Tally:
    """Compare the surfaces on some points. place: where a point is found again, for people, with {} for its row."""
    return looked(inputs, profile, surfaces, place)[0]


def looked(
    inputs: Inputs, profile: Profile, surfaces: Mapping[str, Surface], place: str
) -> tuple[Tally, dict[str, Any]]:
    """The same, and what the columns gave."""
    ours = twin.whole(evaluate(inputs, profile, {}))
    n, sound = len(ours["raw"]), ours["non_finite"] == 0
    words = [_bits(ours[name]) for name in sorted(ours)]
    tally = Tally(
        points=n,
        points_hash=_summed_hash([_bits(inputs[name]) for name in sorted(inputs)], n),
        outcome_hash=_summed_hash([np.where(sound, each, np.uint64(0)) for each in words], n),
    )
    for name, surface in surfaces.items():
        given = surface(inputs, profile, ours)
        _compare(name, given, _beside(inputs, profile, ours, given), inputs, place, tally)
    return tally, ours


def _compare(name: str, given: Answer, ours: Columns, inputs: Inputs, place: str, tally: Tally) -> None:
    n = len(inputs["stalker"])
    at = np.arange(n) if given.at is None else given.at
    bad = np.zeros(len(at), np.bool_)
    bad[list(given.errors)] = True
    found = [(row, "", "a value", given.errors[row]) for row in sorted(given.errors)[:NAMED]]
    for column, theirs in given.columns.items():
        mine = ours[column] if given.at is None else ours[column][given.at]
        differs = _differs(mine, theirs) & ~np.isin(np.arange(len(at)), list(given.errors))
        bad |= differs
        found += [(row, column, _shown(mine[row]), _shown(theirs[row])) for row in np.flatnonzero(differs)[:NAMED]]
    tally.compared[name] = len(at)
    tally.differing[name] = int(bad.sum())
    for row, column, mine, theirs in found[: max(0, NAMED - len(tally.first))]:
        point = {each: _shown(inputs[each][at[row]]) for each in inputs}
        tally.first.append(Difference(name, column, place.format(int(at[row])), mine, theirs, point))


def _differs(mine: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Where bits differ and not both are NaN."""
    if mine.dtype != np.float64:
        return np.asarray(mine != theirs)
    differs: NDArray[np.bool_] = mine.view(np.uint64) != theirs.view(np.uint64)
    return differs & ~(np.isnan(mine) & np.isnan(theirs)) if differs.any() else differs


def _journaled(inputs: Inputs, profile: Profile, ours: Columns) -> NDArray[np.bool_]:
    """Where the table's constraints hold, and the scan is one that may be: its vel_div is a number."""
    fits: NDArray[np.bool_] = ours["non_finite"] == 0
    fits &= np.isfinite(inputs["vel_div"]) & np.isfinite(inputs["capital_usd"])
    fits &= (inputs["capital_usd"] > 0.0) & np.isfinite(ours["cap"])
    for lane in profile.lanes[1:]:
        for name in lane.made_of:
            fits &= ours[name] >= 0.0
    return fits


def _stored(inputs: Inputs, profile: Profile, ours: Columns, at: NDArray[np.int64]) -> dict[str, Any]:
    """Columns of the rows at these places, as the journal stores them."""
    n = len(at)
    known: dict[str, Any] = {
        "stream": Coded.constant("universe", n), "asset": Coded.constant("NONE", n),
        "posture": Coded(inputs["stalker"][at].astype(np.int32), ["", "STALKER"]),
        "params_hash": Coded.constant(profile.hash, n),
        "scan_id": at, "ts_ms": np.full(n, FIRST_MS), "reasons": np.zeros(n, np.uint64),
        "fraction": np.full(n, profile.fanin.fraction),
    }  # fmt: skip
    every = {**inputs, **ours}
    names = [column.name for column in SCORED if not column.optional or column.name in ours]
    return {name: known[name] if name in known else every[name][at] for name in names}


def _beside(inputs: Inputs, profile: Profile, ours: Columns, given: Answer) -> Columns:
    """Ours, with what only SQL computes beside it."""
    if "row_hash" not in given.columns or given.at is None:
        return ours
    hashes = np.zeros(len(ours["raw"]), np.uint64)
    hashes[given.at] = rows(Outcome.DECISION, given.at, _stored(inputs, profile, ours, given.at)).hashes
    return {
        **ours,
        "row_hash": hashes,
        "leverage_bits": ours["leverage"].view(np.uint64),
        "notional_fraction": profile.fanin.fraction * ours["leverage"],
    }


def _bits(column: NDArray[Any]) -> NDArray[np.uint64]:
    if column.dtype == np.float64:
        return np.ascontiguousarray(column).view(np.uint64)
    return column.astype(np.int64).view(np.uint64)


def _summed_hash(words: list[NDArray[np.uint64]], n: int) -> int:
    return int(fold(words, n).sum(dtype=np.uint64))


def _summed(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}}


def _shown(value: Any) -> str:
    return float(value).hex() if isinstance(value, float | np.floating) else str(value)
