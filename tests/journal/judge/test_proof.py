"""What was proved adds up to what the rows give, whatever the run looks like and whatever was done to it since."""

import random
from dataclasses import replace

import pytest

from journal.judge import count, proof
from journal.judge.count import corrupt_batches
from journal.judge.gate import counted, figures, judge
from journal.judge.scope import Scope
from journal.keep.retention import prune
from journal.ledger.run import Segment, now, open_segments, segments
from lanes.profile import Profile
from tests.strategies import START_MS, encode, plane, planes, scan
from tests.written import BLUE, begin

pytestmark = pytest.mark.slow  # many small batches, and changes in place that wait for the engine's merges


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Stretches so short that a small run has several."""
    monkeypatch.setattr(proof, "STRETCH", 20)
    monkeypatch.setattr(proof, "LEAST", 10)


def records(dice, n, streams=("ng7", "ng8"), jump=0.02):
    """Scans of some streams: in order mostly, with repeats from far back, late ones, planes, signals and rejects."""
    at, ids, found = dict.fromkeys(streams, START_MS), dict.fromkeys(streams, 0), []
    for _ in range(n):
        stream = dice.choice(streams)
        at[stream] += dice.choice([1000, 1000, 1000, 1500, 60_000])
        ids[stream] += 1
        kind, vel_div = dice.random(), dice.choice([-0.03, -0.04, -0.001])
        if kind < 0.05:
            found.append(b"{")
        elif kind < 0.15:
            found.append(encode(plane("acb", {"boost": 1.2}, stream=stream, ts_ms=at[stream])))
        elif kind < 0.15 + jump and ids[stream] > 5:
            back = dice.randrange(1, ids[stream])
            found.append(encode(scan(stream=stream, scan_id=back, ts_ms=START_MS + back * 1000, vel_div=-0.04)))
        else:
            found.append(encode(scan(stream=stream, scan_id=ids[stream], ts_ms=at[stream], vel_div=vel_div)))
    return found


def written(store, dice, n=90, partitions=(0,), **how):
    run = begin(store, partitions=partitions)
    todo = {p: [*map(encode, planes()), *records(dice, n // len(partitions), **how)] for p in partitions}
    while any(todo.values()):
        partition = dice.choice([p for p, lines in todo.items() if lines])
        size = dice.randrange(1, 12)
        lines, todo[partition] = todo[partition][:size], todo[partition][size:]
        run.append(lines, partition, after=dice.choice([0, 0, 0, 3]))
    return run


def whole(store, run):
    """Figures and facts of each segment, and of the run, from the rows alone."""
    scope = Scope.of(store, run.run_id)
    found = {None: counted(store, run.run, scope)}
    for each in segments(store, run.run_id):
        mine = replace(scope, segment=each.segment)
        facts = count.facts(store, mine, Profile.model_validate_json(each.params))
        found[each.segment] = counted(store, run.run, mine) | facts
    return found


def added(store, run):
    """The same from proofs."""
    scope = Scope.of(store, run.run_id)
    found = {None: figures(store, run.run, scope)}
    for each in segments(store, run.run_id):
        mine = replace(scope, segment=each.segment)
        found[each.segment] = figures(store, run.run, mine)
        sums = proof.add(store, mine)
        found[each.segment] |= {name: sums[name] for name in ("n", "pegged", "off_abs", "repeated", "broken", "unseen")}
        found[each.segment] |= {name: sums[name] for name in ("top", "low", "high")}
    return found


def proofs(store, run):
    sql = "SELECT era, first_offset, last_offset FROM violet_proofs FINAL WHERE run_id = {run:String} AND segment = 1 ORDER BY era, partition, first_offset"
    return [tuple(row.values()) for row in store.rows(sql, {"run": run.run_id})]


@pytest.mark.parametrize("seed", range(4))
def test_what_was_proved_adds_up_to_what_the_rows_give_while_the_run_grows(store, seed, monkeypatch):
    dice = random.Random(seed)
    monkeypatch.setattr("reactor.evaluate.state.IDENTITIES", 8)  # so that a repeat from far back decides again
    run = written(store, dice, 60, partitions=(0, 1) if seed % 2 else (0,))
    assert added(store, run) == whole(store, run)
    before = proofs(store, run)
    assert len(before) >= 2
    run.append(records(dice, 40))
    assert added(store, run) == whole(store, run)
    assert {era for era, *_ in proofs(store, run)} == {0}
    assert set(before) <= set(proofs(store, run))  # and none was counted again
    judge(store, run.run)


def test_a_run_of_several_segments_is_judged_by_segment_and_counted_whole(store):
    dice = random.Random(5)
    run = written(store, dice, 50)
    first = max(run.lines[0]) + 1
    text = BLUE.model_dump_json()
    open_segments(store, [Segment(run.run_id, 2, "t", 0, first, "other", BLUE.name, text, BLUE.hash, "c0de")])
    run.segment = 2
    run.append(records(dice, 50))
    assert added(store, run) == whole(store, run)


DAMAGE = {
    "a row that is gone": "ALTER TABLE violet_evaluations DELETE IN PARTITION '{run}' WHERE log_offset = {at} SETTINGS mutations_sync = 2",
    "a row that is another": "ALTER TABLE violet_evaluations UPDATE leverage = 3 IN PARTITION '{run}' WHERE log_offset = {at} SETTINGS mutations_sync = 2",
    "a row twice": "INSERT INTO violet_evaluations SELECT * FROM violet_evaluations WHERE run_id = '{run}' AND log_offset = {at}",
    "a row twice that differs": "INSERT INTO violet_evaluations SELECT * REPLACE (7.5 AS leverage) FROM violet_evaluations WHERE run_id = '{run}' AND log_offset = {at}",
    "two outcomes": "INSERT INTO violet_rejects (run_id, segment, topic, partition, log_offset, code, scan_id, ts_ms) VALUES ('{run}', 1, 't', 0, {at}, 'MALFORMED', -1, -1)",
    "all rows replaced by as many others": "INSERT INTO violet_evaluations SELECT * REPLACE (7.5 AS leverage) FROM kept",
}


@pytest.mark.parametrize(
    "damage",
    DAMAGE,
)
def test_what_was_done_to_proved_rows_is_in_the_figures(store, damage):
    run = written(store, random.Random(9), 80)
    sound = added(store, run)
    assert sound == whole(store, run)
    at = run.value("SELECT min(log_offset) FROM violet_evaluations WHERE run_id = {run:String}")
    if damage.startswith("all rows"):
        store.command("DROP TABLE IF EXISTS kept")
        store.command(
            f"CREATE TABLE kept ENGINE = Memory AS SELECT * FROM violet_evaluations WHERE run_id = '{run.run_id}'"
        )
        store.command(f"ALTER TABLE violet_evaluations DROP PARTITION '{run.run_id}'")
    store.command(DAMAGE[damage].format(run=run.run_id, at=at))
    store.command("DROP TABLE IF EXISTS kept")
    found = added(store, run)
    assert found == whole(store, run)
    assert (found != sound) is (damage != "a row twice")
    assert added(store, run) == found  # and again, from the proofs of the damaged rows


def test_a_proved_row_that_was_replaced_and_merged_shows_only_where_every_row_is_read(store):
    run = written(store, random.Random(9), 80)
    sound = added(store, run)
    at = run.value("SELECT min(log_offset) FROM violet_evaluations WHERE run_id = {run:String}")
    store.command(DAMAGE["a row twice that differs"].format(run=run.run_id, at=at))
    store.command(f"OPTIMIZE TABLE violet_evaluations PARTITION '{run.run_id}' FINAL")
    assert added(store, run) == sound  # the limit that docs/limits.md names
    assert whole(store, run)[1]["corrupt"] == 1
    assert len(corrupt_batches(store, Scope.of(store, run.run_id))) == 1  # verify's own question


def test_retention_leaves_proofs_believed_and_figures_equal(store):
    run = written(store, random.Random(3), 80)
    sound = added(store, run)[1]
    before = proofs(store, run)
    run.append(records(random.Random(4), 30))
    middle = now()
    run.append(records(random.Random(6), 30))
    grown = added(store, run)[1]
    assert prune(store, run.run_id, middle).dropped
    found = added(store, run)
    assert found == whole(store, run)
    assert {name: found[1][name] for name in ("planes", "lost", "corrupt", "records")} == {
        name: grown[name] for name in ("planes", "lost", "corrupt", "records")
    }
    assert set(before) <= set(proofs(store, run))
    assert sound["lost"] == 0


def test_a_resume_asks_only_for_what_is_behind_the_proofs(store):
    run = written(store, random.Random(8), 80)
    ends = proof.prove(store, run.run_id)
    assert ends[0] > 40
    gone = f"ALTER TABLE violet_decisions DELETE IN PARTITION '{run.run_id}' WHERE log_offset <= 40 SETTINGS mutations_sync = 2"
    store.command(gone)
    assert proof.prove(store, run.run_id) == {}
