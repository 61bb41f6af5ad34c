"""LANES: the lanes in the order in which the fan-in multiplies them, and the planes that they read.

The five of BLUE come first, then those that were registered. These are off unless a config turns them on, and while one
is off nothing of a run changes. Listings, columns, panels and the conformance tests go over LANES, so a lane joins them
all by joining it. See docs/design/lanes.md.
"""

from itertools import chain
from typing import Final

from lanes import acb, base, dc, esof, ob
from lanes.code import Reason
from lanes.fanin import CAPITAL, POSTURE
from lanes.lane import OWN_BITS, SLOTS, Field, Kind, Plane, registered
from lanes.unfit import Unfit

FIVE: Final = (base.LANE, dc.LANE, acb.LANE, ob.LANE, esof.LANE)
MORE: Final = registered()
LANES: Final = (*FIVE, *MORE)
BY_NAME: Final = {lane.name: lane for lane in LANES}

# Not read by a lane: it says how many scans pass from one that may decide to the next.
CADENCE: Final = Plane(name="cadence", forms=((Field("decide", Kind.ORDINAL),),))
_OF_FIVE: Final = (*chain.from_iterable(lane.planes for lane in FIVE), POSTURE, CAPITAL)
_OF_MORE: Final = tuple(plane for lane in MORE for plane in lane.planes if plane not in _OF_FIVE)
# Planes that a scan reads; then all.
READ: Final[dict[str, Plane]] = {plane.name: plane for plane in (*_OF_FIVE, *_OF_MORE)}
PLANES: Final = READ | {CADENCE.name: CADENCE}
# Names of the bits of `reasons`.
REASONS: Final[dict[int, str]] = {
    **{reason.value: reason.name for reason in Reason},
    **{plane.missing: f"PLANE_MISSING_{plane.name.upper()}" for plane in _OF_MORE},
    **{plane.stale: f"PLANE_STALE_{plane.name.upper()}" for plane in _OF_MORE},
}


def _check() -> None:
    """Raise Unfit where what is declared cannot stand together."""
    taken = {name for lane in FIVE for name in lane.stored}
    for lane in MORE:
        if lane.off is None or lane.off.enabled:
            raise Unfit(f"lane {lane.name}: off must hold its params with enabled=False")
        if clash := {lane.name, *lane.stored} & (taken | {each.name for each in FIVE}):
            raise Unfit(f"lane {lane.name}: the columns {', '.join(sorted(clash))} must be its own")
        taken |= {*lane.stored}
        read = {name.partition(".")[0] for name in lane.inputs if "." in name}
        if strange := read - {*lane.plane_names}:
            raise Unfit(f"lane {lane.name}: inputs must be of its planes, were of {', '.join(sorted(strange))}")
    if len(READ) != len(_OF_FIVE) + len(_OF_MORE):
        raise Unfit(f"planes must have names of their own, were {[p.name for p in (*_OF_FIVE, *_OF_MORE)]}")
    bits = [bit for plane in _OF_MORE for bit in (plane.missing, plane.stale)]
    if len({*bits}) != len(bits) or not {*bits} <= {*OWN_BITS}:
        raise Unfit(f"planes must have two bits of their own in {OWN_BITS}, were {bits}")
    kinds: dict[str, Kind] = {}
    for plane in PLANES.values():
        if any(len(form) > len(SLOTS) for form in plane.forms):
            raise Unfit(f"plane {plane.name}: a form must have at most {len(SLOTS)} fields")
        for field in chain.from_iterable(plane.forms):
            if kinds.setdefault(field.name, field.kind) is not field.kind:
                raise Unfit(f"plane {plane.name}: {field.name} must be {kinds[field.name].value} as elsewhere")


_check()
