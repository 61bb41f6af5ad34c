"""Planes: how many of the scans had them.

A lane whose plane never came evaluates all the same, as BLUE does, so a soak that lacks its inputs looks like one that
has them. Its rows bear the reason, and here it is counted.
See docs/design/running.md.
"""

from collections.abc import Mapping

from journal.judge.scope import Scope
from journal.store import Store
from lanes.lane import Plane
from lanes.profile import Profile


def read(profile: Profile) -> dict[str, Plane]:
    """The planes that the enabled lanes of a profile read, by name."""
    on = (lane for lane in profile.lanes if profile.of(lane.name).enabled)
    return {plane.name: plane for lane in on for plane in lane.planes}


def missing(store: Store, scope: Scope, profile: Profile) -> dict[str, int]:
    """How many of a scope's scans lacked each plane, and under "scans" how many there are; it adds up over offsets."""
    planes = read(profile)
    if not planes:
        return {}
    counts = ", ".join(f"countIf(bitTest(reasons, {plane.missing})) AS {name}" for name, plane in planes.items())
    rows = " UNION ALL ".join(
        f"SELECT reasons FROM {table} FINAL WHERE {scope.where_scans}"
        for table in ("violet_decisions", "violet_evaluations")
    )
    return store.rows(f"SELECT count() AS scans, {counts} FROM ({rows})", scope.params)[0]


def shares(counts: Mapping[str, int]) -> dict[str, float | None]:
    """The share of scans before which each plane was seen; None where there is no scan. counts: from `missing`."""
    scans = counts.get("scans", 0)
    return {name: (scans - n) / scans if scans else None for name, n in counts.items() if name != "scans"}
