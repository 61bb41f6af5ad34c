"""Moving records: from a log of bytes through the lanes to the journal.

Lanes beyond the five are entry points of the group `violet.lanes` of packages that are installed. They are registered
here, before anything asks for LANES: every process of VIOLET imports this package first.
"""

from importlib.metadata import entry_points

if _found := entry_points(group="violet.lanes"):
    from lanes.lane import register

    for _each in _found:
        register(_each.load())
