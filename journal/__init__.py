"""What was decided, kept and proved: the journal in ClickHouse, and every SQL text of the product.

Lanes beyond the five are entry points of the group `violet.lanes` of packages that are installed. They are registered
here, before anything asks for LANES: reactor imports this package before all else.
"""

from importlib.metadata import entry_points

if _found := entry_points(group="violet.lanes"):
    from lanes.lane import register, spoil

    for _each in _found:
        try:
            register(_each.load())
        except (Exception, SystemExit) as _error:  # noqa: BLE001 - whatever its module raises, the lane is refused by name
            spoil(f"lane {_each.name} ({_each.value}) must load, but raised {type(_error).__name__}: {_error}")
