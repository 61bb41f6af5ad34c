"""From nothing to a verdict: the five commands of docs/blue.md, as they stand there."""

import shlex

import pytest

from tests.integration.soaking import ROOT, violet

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/blue.md").read_text("utf-8")


def test_five_commands_lead_from_nothing_to_a_verdict_and_trust_is_withheld_from_a_stand_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = PAGE.partition("## From nothing to a verdict")[2].partition("```sh")[2].partition("```")[0]
    lines = [shlex.split(line)[1:] for line in block.strip().splitlines()]
    assert len(lines) == 5
    for line in lines[:-1]:
        said = violet(*line)
        assert said.code == 0, said.err
    said = violet(*lines[-1], "--json")
    assert said.code == 0, said.out + said.err
    found = said.json
    n = found["figures"]["trades"]
    assert n > 1_000
    assert (found["verdict"], found["figures"]["pairs"]["n"], found["figures"]["classes"]) == ("PASS", n, [])
    assert (found["figures"]["universe"]["share"], found["figures"]["colocation"]["share"]) == (1.0, 1.0)
    assert {(row["n"], row["identical"]) for row in found["figures"]["lanes"]} == {(n, n)}
    assert found["trust"].startswith(
        "HOLD (needs 3 more passing comparisons; trades of BLUE; BLUE's kernels of dc, acb, ob, esof"
    )
