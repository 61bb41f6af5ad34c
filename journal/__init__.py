"""What was decided, kept and proved: the journal in ClickHouse, and every SQL text of the product.

Lanes beyond the five are entry points of the group `violet.lanes` of packages that are installed. They are registered
here, before anything asks for LANES: reactor imports this package before all else.
"""

from importlib.metadata import entry_points

if _found := entry_points(group="violet.lanes"):
    from lanes.lane import register

    for _each in _found:
        register(_each.load())
