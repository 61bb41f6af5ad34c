"""What the journal's SQL computes of rows has the reactor's bits; regrouped it would not."""

import numpy as np
import pytest

from journal import template
from journal.judge.computed import computed
from journal.row import Rows
from lanes import universe
from lanes.profile import PROFILES
from reactor.run import surface
from reactor.run.surface import look

BLUE = PROFILES["blue_8b"]


def points(seed, n=5_000):
    return universe.points(universe.drawn(range(seed, seed + n)), BLUE)


def test_views_and_row_hash_give_the_reactors_bits(store):
    tally = look(points(1_000_000), BLUE, {"sql": surface.sql(store)}, "{}")
    assert tally.differing == {"sql": 0}
    assert tally.compared["sql"] > 2_500


@pytest.mark.parametrize("column", ["base", "acb_boost", "leverage"])
def test_one_ulp_in_one_stored_value_is_found(store, monkeypatch, column):
    def spoilt(given, run_id, block):
        columns = dict(block.columns)
        columns[column] = columns[column].copy()
        columns[column][77] = np.nextafter(columns[column][77], np.inf)
        return computed(given, run_id, Rows(block.offsets, columns, block.hashes))

    monkeypatch.setattr(surface, "computed", spoilt)
    tally = look(points(2_000_000), BLUE, {"sql": surface.sql(store)}, "{}")
    assert tally.differing == {"sql": 1}
    assert "row_hash" in {found.column for found in tally.first}


def test_a_product_in_another_order_is_found(store, monkeypatch):
    ordered = template.fill("$raw").split(" * ")

    def regrouped(given, run_id, block):
        found = computed(given, run_id, block)
        expression = f"{' * '.join(ordered[2:])} * ({ordered[0]} * {ordered[1]})"
        rows = given.rows(
            f"SELECT log_offset, {expression} AS raw FROM decisions WHERE run_id = {{run:String}} ORDER BY log_offset",
            {"run": run_id},
        )
        return found | {"raw": np.array([row["raw"] for row in rows])}

    monkeypatch.setattr(surface, "computed", regrouped)
    tally = look(points(3_000_000), BLUE, {"sql": surface.sql(store)}, "{}")
    assert tally.differing["sql"] > 100
    assert {found.column for found in tally.first} == {"raw"}
