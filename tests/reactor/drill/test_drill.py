"""A drill that cannot fail proves nothing: what was not injected, and what did not hold, is said, whatever it was."""

import json
import signal

import pytest

from journal.keep import harm
from journal.ledger import run as runs
from journal.refusal import Refusal
from reactor.cli import drill as command
from reactor.drill import catalogue, drill
from reactor.drill.broker import NotAtHand, find_jars
from reactor.drill.drill import Finding, verdict
from reactor.drill.scenario import Scenario
from reactor.drill.stage import World
from tests.integration.soaking import processes, violet


@pytest.fixture
def world(tmp_path):
    """A world in which nothing runs until it is asked for."""
    made = World(tmp_path)
    yield made
    made.close()


def of(act, world, seed=1):
    return drill.run(Scenario("made-up", "fault", "must", act), world, world.root / "stage", seed)


def holds(stage):
    stage.inject("it", True)
    stage.check("this", 1, 1)


def not_injected(stage):
    stage.inject("it", False)
    stage.check("this", 1, 1)


def never_injected(stage):
    stage.check("this", 1, 1)


def nothing_checked(stage):
    stage.inject("it", True)


def other_value(stage):
    stage.inject("it", True)
    stage.check("this", 1, 1)
    stage.check("that", 2, 3)


def half_injected(stage):
    stage.inject("it", True)
    other_value(stage)
    stage.inject("and that", False)


def raises(stage):
    holds(stage)
    raise AssertionError("the words")


def refused(stage):
    holds(stage)
    raise Refusal("the words; fix: none")


@pytest.mark.parametrize(
    ("act", "injected", "held", "words"),
    [
        (holds, True, True, ""), (not_injected, False, False, "was not injected: it"),
        (never_injected, False, False, "was not injected"), (nothing_checked, True, False, ""),
        (other_value, True, False, "that: was 2, must be 3"), (half_injected, False, False, "was not injected: and that"),
        (raises, True, False, "the words"), (refused, True, False, "the words"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)  # fmt: skip
def test_only_what_was_injected_and_checked_and_held_is_held(world, act, injected, held, words):
    found = of(act, world)
    assert (found.injected, found.held, words in " ".join(found.broken)) == (injected, held, True)


def test_what_is_not_at_hand_is_no_failure_and_no_pass(world):
    def act(stage):
        raise NotAtHand("no java on PATH")

    found = of(act, world)
    assert (found.held, found.not_run) == (None, "no java on PATH")


@pytest.mark.parametrize(
    ("held", "said"),
    [([True, True], "PASS"), ([True, False, None], "FAIL"), ([True, None], "HOLD"), ([None], "HOLD"), ([], "HOLD")],
)
def test_the_verdict_is_the_worst(held, said):
    assert verdict([Finding("x", held=each) for each in held]) == said


def test_a_seed_repeats_what_is_random_whichever_scenarios_run(tmp_path):
    thrown = []

    def act(stage):
        thrown.append(stage.dice.random())
        holds(stage)

    one, two = (Scenario(name, "", "", act) for name in ("one", "two"))
    drill.drill([one, two], 7)
    drill.drill([two], 7)
    drill.drill([two], 8)
    assert thrown[1] == thrown[2]
    assert len({*thrown}) == 3


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "journal").write_text("x")
    with pytest.raises(Refusal, match="not empty"):
        drill.drill([Scenario("x", "", "", holds)], 1, keep=tmp_path / "mine")


def test_a_folder_without_kafka_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(Refusal, match="no jar of Apache Kafka"):
        drill.drill([Scenario("x", "", "", holds)], 1, jars=tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NotAtHand, match="no java"):
        find_jars(tmp_path)


@pytest.mark.parametrize(("act", "code"), [(holds, 0), (other_value, 1)])
def test_the_command_says_it_in_json_and_by_its_exit_code(monkeypatch, act, code):
    monkeypatch.setattr(catalogue, "SCENARIOS", (Scenario("made-up", "fault", "must", act),))
    said = violet("drill", "made-up", "--json", "--seed", "5")
    (row,) = said.json["faults"]
    assert (said.code, said.json["seed"], row["name"], row["held"]) == (code, 5, "made-up", not code)
    assert {"injected", "checked"} <= row.keys()
    assert f"seed {said.json['seed']}" in said.err


def test_a_scenario_that_is_not_there_is_refused():
    said = violet("drill", "no-such")
    assert (said.code, "violet drill --list" in said.err) == (3, True)


def test_the_list_runs_nothing():
    listed = json.loads(violet("drill", "--list", "--json").out)
    assert {row["name"] for row in listed} == {each.name for each in catalogue.SCENARIOS}
    assert command.command.name == "drill"


# -- a soak that is broken on purpose --------------------------------------------------------------------------------------


def sabotaged(stage):
    """After the kill somebody deletes a row: the drill must see that."""
    flags, store = stage.topic_flags("sabotaged"), stage.world.store
    _ = stage.world.calm
    killed = stage.start("soak", *flags, "--batch-size", 100, seam="after_completion", at=3).ended()
    stage.inject("SIGKILL", killed.code == -signal.SIGKILL)
    said = stage.violet("soak", *flags)
    harm.delete_decision(store, runs.ids(store, name="sabotaged")[0])
    stage.check_whole(said, store)


def never_killed(stage):
    """The soak never comes to the step for the 999th time."""
    killed = stage.start("soak", *stage.topic_flags("spared"), seam="after_intent", at=999).ended()
    stage.inject("SIGKILL", killed.code == -signal.SIGKILL)
    stage.check_whole(killed, stage.world.store)


@pytest.mark.slow
def test_a_drill_sees_a_row_that_is_gone_and_a_kill_that_never_came(tmp_path):
    broken = [Scenario("sabotaged", "", "", sabotaged), Scenario("spared", "", "", never_killed)]
    gone, spared = drill.drill(broken, 1, keep=tmp_path / "scratch")
    assert (gone.injected, gone.held) == (True, False)
    assert ["every offset has one outcome" in each for each in gone.broken] == [True]
    assert (spared.injected, spared.held, spared.broken) == (False, False, ("was not injected: SIGKILL",))
    assert processes(tmp_path) == {}
