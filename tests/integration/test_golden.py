"""The golden log comes out bit for bit as the first version decided it."""

import pytest

from lanes.code import Bound, Outcome, Reason, Reject
from tests.integration import golden as logs

# A row that ClickHouse refuses and a kernel that raises need a fault, a record too large is no short line.
CODES = {code.name for code in Reject} - {"BLOCK_REFUSED", "LANE_ERROR", "TOO_LARGE"}


@pytest.fixture(scope="module")
def soaked(journal):
    return journal.soak(scans=logs.LOG, batch_size=64)


def test_the_golden_log_holds_every_kind_of_outcome(journal, soaked):
    assert all(soaked.summary[f"{kind.name.lower()}s"] for kind in Outcome)
    sql = """SELECT (SELECT groupUniqArrayArray(reasons) FROM scans WHERE run_id = {run:String}) AS reasons,
        (SELECT groupUniqArray(bound) FROM decisions WHERE run_id = {run:String}) AS bounds,
        (SELECT groupUniqArray(code) FROM rejects WHERE run_id = {run:String}) AS codes"""
    (row,) = journal.rows(sql, run=soaked.run_id)
    assert {name: set(found) for name, found in row.items()} == {
        "reasons": {reason.name for reason in Reason}, "bounds": set(Bound.__members__), "codes": CODES,
    }  # fmt: skip


def test_every_row_of_the_golden_log_is_as_it_was(journal, soaked, golden):
    golden(logs.ROWS, logs.text(journal.rows, soaked.run_id, soaked.hash))
