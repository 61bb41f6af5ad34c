"""Seeded market: the same seed gives the same bytes, and the feed shows what a soak must meet."""

from collections import Counter
from functools import partial
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from lanes.code import Bound, Outcome, Reason, Reject
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, Fault, Plane, Scan
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.standin import seeded, window

# What commit aec54f3 makes of the market that `make soak` soaks; another value needs a line in CHANGELOG.md under Decisions change.
MARKET = (20260614, 21_600)  # seed and scans
CONTENT_HASH = "f575a5dc80e7faf1"
OUTCOMES = {"DECISION": 2589, "EVALUATION": 19069, "PLANE": 26286, "REJECT": 29}


@pytest.fixture(scope="module")
def records():
    """The default archive, decoded; the late symbol comes on the third day, the outage on the ninth."""
    decoder = Decoder()
    return [decoder.decode(line) for line in seeded.lines()]


@pytest.fixture(scope="module")
def scans(records):
    return [r for r in records if isinstance(r, Scan)]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def written(name, seed):
        assert seeded.write_market(tmp_path / name, seed, 120) > 240
        return (tmp_path / name).read_bytes()

    assert written("a.jsonl.zst", 1) == written("b.jsonl.zst", 1) != written("c.jsonl.zst", 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl.zst", "b.jsonl.zst", "c.jsonl.zst"]


def test_progress_is_told_of_each_line(tmp_path):
    told = []
    total = seeded.write_market(tmp_path / "a.jsonl", scans=30, progress=partial(told.append, 1))
    assert len(told) == total == len((tmp_path / "a.jsonl").read_bytes().splitlines())


def test_days_bound_the_minutes():
    minutes = list(seeded.minutes(days=1))
    assert 1_400 < len(minutes) <= seeded.DAY
    assert minutes[0].symbols == tuple(sorted(minutes[0].symbols))


def test_the_gate_can_pass_on_it(records, scans):
    faults = [r for r in records if isinstance(r, Fault)]
    assert len({(s.scan_id, s.ts_ms) for s in scans}) == seeded.SCANS
    assert 0 < len(faults) < 0.002 * len(records)
    ts = np.unique([s.ts_ms for s in scans])
    usual = np.median(np.diff(ts))
    silent = sum(gap - usual for gap in np.diff(ts) if gap > 2 * usual)
    assert 0.99 < 1.0 - silent / (ts[-1] - ts[0]) < 1.0
    triggered = [s.vel_div for s in scans if s.vel_div < -0.02]
    assert 0.05 < len(triggered) / len(scans) < 0.15
    assert sum(v < -0.05 for v in triggered) / len(scans) > 0.01
    assert min(triggered) == -605.0


def test_broken_lines_have_many_codes(records):
    codes = {r.code for r in records if isinstance(r, Fault)}
    assert codes == set(range(Reject.MALFORMED, Reject.EMPTY + 1)) - {Reject.TOO_LARGE} | {Reject.PLANE_NAME}


def test_every_oddity_that_the_contract_accepts_is_there(scans):
    identities = Counter((s.scan_id, s.ts_ms) for s in scans)
    assert set(identities.values()) == {1, 2}
    assert any(b.ts_ms < a.ts_ms for a, b in pairwise(scans))
    assert {s.dc_status for s in scans} == {"CONFIRM", "CONTRADICT", "NEUTRAL", "PERHAPS", None}
    assert {p <= 0.0 for s in scans for p in s.prices.values()} == {True, False}
    assert any(s.irp is None and s.vel_div < -0.02 for s in scans)
    assert set(scans[0].prices) & window.PEGGED == {"FDUSDUSDT", "USDCUSDT"}
    counts = Counter(name for s in scans for name in s.prices)
    assert counts[seeded.LATE] < counts[seeded.HALTED] < counts["BTCUSDT"]


def test_planes_change_fall_silent_and_come_in_both_forms(records):
    planes = [r for r in records if isinstance(r, Plane)]
    forms = {(p.name, *msgspec.to_builtins(p.value)) for p in planes}
    assert forms >= {
        ("acb", "signals"), ("acb", "boost"), ("esof", "score"), ("esof", "mult"),
        ("ob", "eff_imb", "agree", "n_assets"), ("ob", "mult"), ("cadence", "decide"),
    }  # fmt: skip
    assert {p.value.posture for p in planes if p.name == "posture"} == {"APEX", "STALKER", "NIGHT_WATCH"}
    assert len({p.value.capital_usd for p in planes if p.name == "capital"}) > 5
    assert {p.value.scale for p in planes if p.name == "mc"} >= {0.0, 1.0}
    for name in {p.name for p in planes}:
        seqs = [p.seq for p in planes if p.name == name]
        assert seqs == list(range(1, len(seqs) + 1))


def test_the_first_scans_come_before_any_plane(records):
    good = [r for r in records if not isinstance(r, Fault)]
    assert [type(r) for r in good[: seeded.HELD_BACK + 1]] == [Scan] * seeded.HELD_BACK + [Plane]


def test_esof_falls_silent_beyond_its_age_now_and_then(records):
    spoke, stale, total = None, 0, 0
    for r in records:
        if isinstance(r, Plane) and r.name == "esof":
            spoke = r.ts_ms
        elif isinstance(r, Scan) and spoke:
            total += 1
            stale += r.ts_ms - spoke > 900_000
    assert 0.01 < stale / total < 0.15


def soaked(lines):
    """A market as one batch, under the default profile."""
    return step(
        State(), Chunk(0, list(range(len(lines))), lines), Rules(PROFILES["blue_8b"]), Decoder(),
        topic="t", segment=0, expected=0,
    )  # fmt: skip


def test_the_lanes_show_every_bound_and_every_reason_on_it():
    batch = soaked(list(seeded.lines()))
    decided, evaluated = (batch.rows[kind].columns for kind in (Outcome.DECISION, Outcome.EVALUATION))
    assert set(np.asarray(decided["bound"]).tolist()) == set(Bound)
    reasons = np.bitwise_or.reduce(np.r_[decided["reasons"], evaluated["reasons"]])
    assert int(reasons) == sum(1 << reason for reason in Reason)


def test_the_market_of_make_soak_comes_out_as_the_first_version_decided_it():
    batch = soaked(list(seeded.lines(*MARKET)))
    assert {kind.name: len(rows) for kind, rows in batch.rows.items()} == OUTCOMES
    assert f"{batch.content_hash:016x}" == CONTENT_HASH
