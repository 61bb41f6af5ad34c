"""A comparison in Python is that of the command."""

import json

import pytest

import violet
from reactor.cli.common import plain
from tests.journal.blue.agreed import at, minutes, sized, soaked, traded


def test_a_comparison_is_that_of_the_command(journal, tmp_path):
    first = minutes()
    written = soaked(journal.store, first)
    traded(journal.store, *(sized(minute, exit_ts_ms=at(minute + 3)) for minute in range(first, first + 17, 4)))
    file = tmp_path / "c.json"
    terms = ("--margin-leverage", "9", "--margin-notional", "2", "--follows", "none")
    made = journal.violet("contract", "new", written.run_id, "--against", "blue", "-o", file, *terms)
    assert made.code == 0, made.err
    with violet.open(journal.data) as opened:
        found = opened.compare(file, written.run_id)
        about = (written.run_id, "--against", "blue", "--contract", file)
        assert json.loads(json.dumps(plain(found))) == journal.violet("compare", *about, "--json").json
        assert found["verdict"] in found._repr_html_()
        with pytest.raises(violet.Refusal, match="is not there; fix: `violet contract new`"):
            opened.compare(tmp_path / "none.json", written.run_id)
