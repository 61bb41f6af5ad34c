"""Drift register: every default that the sources leave open, with what they say and who chose the value.

A key is a param of `blue_8b` by its dotted name; one that ends in `()` is a rule, its value the rule's text.
None of them is BLUE's; each is replaceable by a param or a wrapped kernel.
See docs/design/lanes.md.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Drift:
    """One place where VIOLET had to choose."""

    key: str
    value: object
    sources_say: str
    chosen_by: str


_ACB = "three factors, upward, regime dependent; signals, w750 / beta and MC; no formula"
_OB = "up to 1.20 where eff_imb > 0.08 and agree > 0.70, down to 0.85; no interpolation"
_ESOF = "NEUTRAL 0.8, UNFAV 0.3, STALE_FB 0.4, EDGE 0.02; plateaus 0.3 0.65 0.8 0.9 1.0 seen; no curve"
_AGE = "nothing"

REGISTER: Final = (
    Drift("dc.boost", 1.10, "dc_leverage_boost where CONFIRM; no value", "default dc"),
    Drift(
        "acb.boost()", "1.0 + signals_gain * log1p(signals) if signals >= signals_from else 1.0", _ACB,
        "default acb",
    ),
    Drift("acb.signals_gain", 0.5, _ACB, "default acb"),
    Drift("acb.signals_from", 1.0, _ACB, "default acb"),
    Drift("acb.meta()", "1.0 + beta * strength ** convexity", _ACB, "default acb"),
    Drift("acb.beta_low", 0.2, _ACB, "default acb"),
    Drift("acb.beta_high", 0.8, _ACB, "default acb"),
    Drift("acb.w750_thr", 0.0, "beta hangs on w750; no threshold", "default acb"),
    Drift("acb.alert_age_ms", 3_600_000, _AGE, "default acb, as a mark only"),
    Drift("ob.sign()", "eff = -eff_imb", "no sign convention", "default ob"),
    Drift(
        "ob.up()", "1.0 + (up - 1.0) * min(1.0, (eff - imb_from) / (imb_full - imb_from))", _OB,
        "default ob",
    ),
    Drift(
        "ob.down()", "1.0 - (1.0 - down) * min(1.0, (-eff - imb_from) / (imb_full - imb_from))",
        "down to 0.85; no condition", "default ob",
    ),
    Drift("ob.imb_full", 0.28, _OB, "default ob"),
    Drift("ob.agree_above", 0.70, "agree > 0.70 for the upward side only", "default ob, both sides"),
    Drift("ob.min_assets", 3, "market consensus; no least number", "default ob"),
    Drift("ob.alert_age_ms", 10_000, _AGE, "default ob, as a mark only"),
    Drift("esof.splits", (-0.25, -0.05, 0.05, 0.25), _ESOF, "default esof, score in -1..1"),
    Drift("esof.plateaus", (0.3, 0.65, 0.8, 0.9, 1.0), _ESOF, "default esof"),
    Drift("esof.edge", 0.02, "EDGE 0.02; no meaning", "default esof: half-width of a linear blend"),
    Drift("esof.max_age_ms", 900_000, "STALE_FB 0.4; no age", "default esof"),
    Drift("esof.application", "fan_in", "both findings 8b (in the product) and 8 (after it)", "default esof: 8b holds"),
    Drift("esof.near_one", 1e-9, "near-1 no-op; no epsilon", "default rest"),
    Drift("fanin.paper_capital_usd", 25_000.0, "nothing", "default rest"),
    Drift("fanin.alert_age_ms", 86_400_000, "the posture is the day's", "one day; a mark only"),
    Drift(
        "select.excluded",
        (
            "USDCUSDT", "BUSDUSDT", "FDUSDUSDT", "TUSDUSDT", "USDPUSDT",
            "DAIUSDT", "USDDUSDT", "PYUSDUSDT", "USTCUSDT", "EURUSDT",
        ),
        "10 pegged symbols; no names", "default asset",
    ),
    Drift("select.tie()", "ties go to the smaller symbol", "highest irp; no tie rule", "default asset"),
    Drift(
        "select.postures", ("APEX", "STALKER", "TURTLE", "HIBERNATE"), "STALKER; others unnamed",
        "default rest: others cap nothing",
    ),
)  # fmt: skip
