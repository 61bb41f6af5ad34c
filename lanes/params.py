"""What params are made of: models without a default, and the domains of their numbers.

Each lane's model stands in the lane's file; `lanes/profile.py` binds them. See docs/design/lanes.md.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def _must(rule: str, holds: Callable[[Any], bool]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"must be {rule}, was {value!r}")
        return value

    return AfterValidator(check)


Positive = Annotated[float, _must("positive", lambda x: x > 0.0)]
NotNegative = Annotated[float, _must("zero or positive", lambda x: x >= 0.0)]
Share = Annotated[float, _must("in 0..1", lambda x: 0.0 <= x <= 1.0)]
Boost = Annotated[float, _must("at least 1", lambda x: x >= 1.0)]
Count = Annotated[int, _must("zero or positive", lambda x: x >= 0)]
SpanMs = Annotated[int, _must("zero or positive", lambda x: x >= 0)]
KernelPath = Annotated[str, _must("package.module:factory", lambda x: re.fullmatch(r"\w+(\.\w+)*:\w+", x) is not None)]
Symbols = Annotated[tuple[str, ...], _must("exactly 10 symbols", lambda x: len(x) == 10 == len(set(x)))]


class Params(BaseModel):
    """Strict, frozen, finite, and nothing unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class LaneParams(Params):
    """What every lane has: a switch (off is 1.0), and a foreign kernel in its place or None."""

    enabled: bool
    kernel: KernelPath | None
