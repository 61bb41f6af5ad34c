"""Every plant of the stand-in BLUE, one at a time, through the commands: what `violet compare` makes of it.

What is expected stands in the table of docs/blue.md, which this reads: so the page says what was found.
"""

import json
import re
from pathlib import Path

import pytest

from reactor.standin.plant import PLANTS
from reactor.standin.seeded import write_market
from tests.integration.soaking import violet

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "blue.md"
FOUND = dict(re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE))

MARGINS = ("--margin-leverage", "1.0", "--margin-notional", "0.2")  # so that a hundred trades can pass


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    path = tmp_path_factory.mktemp("plants") / "market.jsonl.zst"
    write_market(path, 11, 3_000)
    return path


@pytest.fixture(scope="module")
def run_id(journal, market):
    return journal.soak(scans=market, name="plants").run_id


@pytest.fixture
def found(journal, run_id, market, tmp_path):
    """found(plant, ...) -> what the commands make of a stand-in's trades; they are forgotten afterwards."""
    brought = []

    def compare(*plants):
        trades, contract = tmp_path / "trades.csv", tmp_path / "contract.json"
        options = [word for name in plants for word in ("--plant", name)]
        assert violet("blue", "simulate", "--scans", market, "--out", trades, *options).code == 0
        said = journal.violet("blue", "import", "--trades", trades, "--any-clock", "--json")
        if said.code:
            assert "is used for two trades" in said.err
            return "the import is refused"
        brought.append(said.json["import_id"])
        agreed = journal.violet(
            "contract", "new", run_id, "--against", "blue", "--label", "STAND-IN", *MARGINS, "-o", contract
        )
        assert agreed.code == 0, agreed.err
        said = journal.violet("compare", run_id, "--against", "blue", "--contract", contract, "--json")
        assert said.code in {0, 1, 2, 3}, said.err
        return words(said.json)

    yield compare
    for import_id in brought:
        assert journal.violet("blue", "forget", import_id, "--reason", "the test is over").code == 0


def words(compared):
    """A comparison in a few words: verdict, and what is to blame."""
    broken = [each["name"] for each in compared["clauses"] if not each["holds"]]
    if broken:
        assert "figures" not in compared
        return f"INVALID: {', '.join(f'`{name}`' for name in broken)}"
    figures = compared["figures"]
    blamed = sorted({f"{row['class']} {' and '.join(row['class_where'])}" for row in figures["classes"]})
    blamed += ["`trade_delta`"] if figures["slot"]["missed"] else []
    blamed += ["`unpaired`"] if figures["unpaired"] else []
    late = figures["noise_floor"]["delay"]
    blamed += ["all within the noise floor"] if late["n"] == late["explained"] > 0 else []
    return f"{compared['verdict']}: {', '.join(blamed) or 'nothing differs'}"


def test_equal_params_pass_and_nothing_differs(found):
    assert found() == "PASS: nothing differs"


@pytest.mark.parametrize("name", PLANTS)
def test_a_plant_is_found_as_the_page_says(found, name):
    assert found(name) == FOUND.get(name)


def test_what_is_not_recorded_cannot_be_told_and_is_no_pass(found):
    assert found("unrecorded", "dc-boost") == "HOLD: UNATTRIBUTABLE leverage"


def test_planes_one_scan_late_are_explained_by_the_noise_floor(journal, found):
    found("plane-late")
    (row,) = journal.rows(
        "SELECT c.*, p.delayed AS delayed, p.n AS n FROM violet_compares AS c INNER JOIN (SELECT compare_id, delayed, count() AS n "
        "FROM compare_pairs WHERE class != '' GROUP BY compare_id, delayed) AS p USING (compare_id) ORDER BY compared_at DESC LIMIT 1"
    )
    late = json.loads(row["figures"])["noise_floor"]["delay"]
    assert row["delayed"] == "ob"
    assert (late["n"], late["explained"], late["by_plane"]) == (row["n"], row["n"], {"ob": row["n"]})
    judged = {each["name"]: each for each in json.loads(row["measures"])}
    assert (judged["state_machine"]["figure"], judged["state_machine"]["above"]) == (row["n"], 0)
    assert judged["leverage"]["figure"] > judged["leverage"]["above"] == 0
