"""Studies: questions about sizes and earnings, each a view; every row names its population and the filter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from journal.store import Store


@dataclass(frozen=True, slots=True)
class Study:
    """One study. question: what it answers; view: its SQL; order: of its rows; caveat: what it must not be read as."""

    question: str
    view: str
    order: str
    caveat: str = ""


STUDIES: Final[Mapping[str, Study]] = {
    "margin": Study(
        "Would the sizes have fit into a wallet, one at a time, at each policy of the exchange's leverage?",
        "study_margin", "policy", "The part that is not used is no free room: see the study fraction.",
    ),
    "edge": Study(
        "What did BLUE's trades earn, by strength of the signal and by regime?", "study_edge",
        "dimension != 'all', dimension, value",
        "An interval of 95 % is for one look at independent trades; of many rows some are wrong.",
    ),
    "fraction": Study(
        "How much of a wallet at exchange leverage 3 would be used if the base fraction were another?",
        "study_fraction", "fraction",
        "The part that is not used is mostly the haircut, which lowers risk on purpose: it is no free room.",
    ),
    "tail": Study(
        "Where is the leverage more than 5 % above the base lane's, and which lane was above 1?", "study_tail",
        "vel_div = 'all', vel_div",
    ),
    "curve": Study(
        "How near does an 8-curve come to the 9-curve when a boost multiplies it and 9 caps it?",
        "study_curve", "boost", "So a median curve alone cannot tell the two apart.",
    ),
    "findings": Study(
        "Which figures of the findings follow from formulas, and what do these give?", "study_findings", "what",
    ),
}  # fmt: skip
_READ_NOTHING: Final = ("curve", "findings")


def rows(store: Store, name: str, run_id: str, label: str | None = None) -> list[dict[str, Any]]:
    """The rows of a study: of a run's decisions, and of BLUE's trades under a label; without one REAL, if there is any.

    Where there are neither, a study that reads records has no rows.
    """
    if name in _READ_NOTHING:
        return store.rows(f"SELECT '' AS label, * FROM {STUDIES[name].view} ORDER BY {STUDIES[name].order}")
    known = [row["label"] for row in store.rows("SELECT DISTINCT label FROM blue_imports WHERE state = 'COMPLETE'")]
    return store.rows(
        f"SELECT * FROM {STUDIES[name].view} WHERE run_id IN ('', {{run:String}}) AND label IN ('', {{label:String}}) "
        f"ORDER BY label, {STUDIES[name].order}",
        {"run": run_id, "label": label or min(known, default="")},
    )
