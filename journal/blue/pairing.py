"""Pairing: which decision of a run stands beside which of BLUE's trades."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A trade of BLUE beside a decision.

    trade: a row of `blue_trades`; decision: a row of `decisions`; by: how they were found; gap_ms: decision minus
    entry; candidates: decisions on the asset within the tolerance, the one of the pair among them.
    """

    trade: Mapping[str, Any]
    decision: Mapping[str, Any]
    by: Literal["id", "nearest"]
    gap_ms: int
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All pairs of a window.

    unpaired: trades without a decision, each with `why`; ambiguous: pairs with a second decision as near;
    sensitivity: tolerance in ms -> pairs; offset_ms: estimated clock offset of BLUE, reported and never applied, None
    where too few pairs tell it.
    """

    pairs: Sequence[Pair]
    unpaired: Sequence[Mapping[str, Any]]
    ambiguous: int
    sensitivity: Mapping[int, int]
    offset_ms: int | None
