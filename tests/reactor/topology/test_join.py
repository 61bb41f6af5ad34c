"""Lanes apart, joined by offset: what comes out is what the lanes say in one process, however often a worker starts again."""

import random
from functools import partial

import msgspec
import pytest

from lanes.code import Outcome
from lanes.profile import PROFILES, override
from lanes.registry import LANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import advance, step
from reactor.evaluate.walk import Rules
from reactor.run.foreign import Kernels
from reactor.tap.reading import decode, encode, readings, seen_by
from reactor.topology import checkpoint as checkpoints
from reactor.topology import evaluator as evaluators
from reactor.topology.checkpoint import LaneRecord
from reactor.topology.evaluator import EVERY, Evaluator, LaneVersion
from reactor.topology.join import Contradiction, Join
from tests.integration import records

PROFILE, LOG, TOPIC = PROFILES["blue_8b"], "cluster/scans/1", "scans"
NAMES = [lane.name for lane in LANES]
COUNT, NONE = 600, Kernels()
LINES = records.mixed(COUNT, records.STREAMS, long=False)


def raising(scan, planes):
    if scan.scan_id % 7 == 3:
        raise ValueError(f"no answer for {scan.scan_id}")
    return 1.25


def refusing(scan, planes):
    if scan.scan_id % 5 == 3:  # of some scans beside `raising`
        raise TypeError(f"nothing to say of {scan.scan_id}")
    return 0.95


KERNELS = Kernels({"acb": raising}, {"acb": "feed"})
TWO = Kernels({"ob": refusing, "acb": raising}, {"acb": "feed", "ob": "beef"})


def lane(name, profile=PROFILE, kernels=NONE, log=LOG):
    return LaneVersion.of(name, TOPIC, log, profile, kernels)


def chunk(first=0, end=COUNT):
    return Chunk(0, list(range(first, end)), LINES[first:end])


class Tape(list):
    """A lane's topic in memory, as its workers fill it."""

    def worker(self, lane, low=0):
        """A worker that starts, with what the topic tells it, where the scans' topic has lost what lies before low."""
        return Evaluator.resumed(lane, 0, self.windows, low, lane.agrees)

    @property
    def windows(self):
        return [self[-300:], self] if self else []

    def say(self, voice, first, end, size=50):
        for at in range(first, end, size):
            for _, value, mark in voice.evaluate(chunk(at, min(at + size, end))):
                self.append(LaneRecord(len(self), value, mark, voice.since))


def joined(tapes, profile=PROFILE, only=None, log=LOG, start=0, at=0):
    """What a soak hears of a run that began at `start` and stands at `at`."""
    join = Join(profile, log, only, {0: start})
    join.begin({0: at})
    for name, tape in tapes.items():
        for record in tape:
            join.take(name, record)
    return join


def tapes(profile=PROFILE, kernels=NONE, end=COUNT):
    found = {}
    for name in NAMES:
        found[name] = Tape()
        found[name].say(found[name].worker(lane(name, profile, kernels)), 0, end)
    return found


def outcomes(rules, values=None):
    return step(State(), chunk(), rules, Decoder(), topic=TOPIC, segment=1, expected=0, values=values)


def equal(one, other):
    for kind in Outcome:
        assert one.rows[kind].offsets.tolist() == other.rows[kind].offsets.tolist()
        assert one.rows[kind].hashes.tolist() == other.rows[kind].hashes.tolist()
    assert one.rows[Outcome.REJECT].columns["detail"] == other.rows[Outcome.REJECT].columns["detail"]


@pytest.mark.parametrize("kernels", [Kernels(), KERNELS, TWO], ids=["own", "foreign", "two foreign"])
@pytest.mark.parametrize("name", PROFILES)
def test_lanes_apart_give_the_rows_and_rejects_of_lanes_together(name, kernels):
    profile = PROFILES[name]
    join = joined(tapes(profile, kernels), profile)
    assert join.ready(chunk(), None)[0] == COUNT
    equal(outcomes(Rules(profile), partial(join.values, 0)), outcomes(Rules(profile, kernels.kernels)))


@pytest.mark.parametrize(
    "profile", [PROFILE, override(PROFILE, {"esof": {"application": "sc_post"}})], ids=["fan_in", "sc_post"]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_lane_s_worker_and_the_journal_say_the_same_in_every_field(name, profile):
    """The records themselves are compared, so the factor inside the cap and the one after it cannot change places."""
    rules = Rules(profile)
    batch = step(State(), chunk(), rules, Decoder(), topic=TOPIC, segment=1, expected=0, seen=seen_by([name]))
    speaker = lane(name, profile)
    journaled = {r.offset: r for r in readings(batch, name, speaker.kernel_hash)}
    tape = Tape()
    tape.say(tape.worker(speaker), 0, COUNT)
    told = [decode(record.value) for record in tape]
    rejected = {each.offset for each in told} - journaled.keys()
    assert len(rejected) < len(told) / 10  # what is not finite somewhere is said by the workers alone
    for each in told:
        if each.offset not in rejected:
            assert encode(each) == encode(msgspec.structs.replace(journaled[each.offset], params_hash=each.params_hash))


def test_a_worker_that_starts_again_repeats_and_goes_on_with_the_state_it_would_have_had(monkeypatch):
    monkeypatch.setattr(evaluators, "EVERY", 16)
    calm, dice = tapes(), random.Random(5)
    for name in NAMES:
        again = Tape()
        while not again or decode(again[-1].value).offset < decode(calm[name][-1].value).offset:
            voice = again.worker(lane(name))
            end = min(COUNT, voice.next + dice.randrange(20, 300))
            again.say(voice, voice.next, end, dice.choice((1, 7, 64)))
        first = {}
        for record in again:
            reading = decode(record.value)
            assert first.setdefault(reading.offset, record.value) == record.value
        assert list(first.values()) == [record.value for record in calm[name]]


def test_a_worker_marks_often_and_from_the_first_reading_on():
    tape = tapes()["acb"]
    assert tape[0].checkpoint is not None
    assert sum(record.checkpoint is not None for record in tape) == 1 + COUNT // EVERY


@pytest.mark.parametrize("spoken", [0, 300, 500])
def test_a_worker_that_a_soak_starts_goes_on_from_the_soak_s_own_state(spoken):
    """The log has lost all planes that the run knows, and the lanes' topics hold what another version said."""
    at = 450
    state = State()
    advance(state, chunk(0, at), Rules(PROFILE), Decoder())
    found = tapes(override(PROFILE, {"acb": {"signals_gain": 0.75}, "ob": {"enabled": False}}), end=spoken)
    for name, tape in found.items():
        voice = Evaluator.begun(lane(name), 0, tape.windows, at, state.dump())
        assert (voice.next, voice.written) == (at, decode(tape[-1].value).offset if tape else -1)
        tape.say(voice, at, COUNT)
    only = tuple((lane(name).params_hash, lane(name).kernel_hash) for name in NAMES)
    join = joined(found, only=only, at=at)
    assert join.ready(chunk(at), None)[0] == COUNT - at
    rest = {"topic": TOPIC, "segment": 1, "expected": at}
    again = State.load(state.dump(), ())
    calm = step(State.load(state.dump(), ()), chunk(at), Rules(PROFILE), Decoder(), **rest)
    equal(calm, step(again, chunk(at), Rules(PROFILE), Decoder(), **rest, values=partial(join.values, 0)))


def test_a_lane_apart_that_does_not_know_what_the_run_knows_is_not_heard():
    """The log begins at 200: a lane that starts there knows of no plane that came before, but the run does."""
    found = {name: Tape() for name in NAMES}
    for name, tape in found.items():
        tape.say(tape.worker(lane(name), low=200), 200, 400)
        again = tape.worker(lane(name), low=200)  # nor does whoever goes on from there
        tape.say(again, again.next, COUNT)
    unheard = joined(found, start=100, at=300)
    assert unheard.ready(chunk(300), None)[0] == 0
    assert [*unheard.missing(chunk(300))] == NAMES
    assert all("before offset 200; stop it, " in why for why in unheard.missing(chunk(300)).values())
    assert joined(found, start=200, at=300).ready(chunk(300), None)[0] == COUNT - 300


def test_whoever_knows_less_is_not_heard_between_the_marks_of_whoever_knows_all():
    """A lane apart goes on speaking beside the worker that a soak started, and is ahead of it."""
    whole, less = Tape(), Tape()
    whole.say(whole.worker(lane("acb")), 0, 300)
    less.say(less.worker(lane("acb"), low=200), 200, COUNT)
    both = Tape([*less[:20], *whole, *less[20:]])
    join = joined(tapes() | {"acb": both}, start=100)
    count, _ = join.ready(chunk(), None)
    assert (
        decode(whole[-1].value).offset
        < count
        <= decode(next(r.value for r in less if decode(r.value).offset >= 300)).offset
    )
    whole.say(whole.worker(lane("acb")), 0, COUNT)
    for record in whole:
        join.take("acb", record)
    equal(outcomes(Rules(PROFILE), partial(join.values, 0)), outcomes(Rules(PROFILE)))


def test_a_lane_that_was_away_for_longer_than_the_log_keeps_is_not_heard():
    tape = Tape()
    tape.say(tape.worker(lane("acb")), 0, 100)
    gone = tape.worker(lane("acb"), low=200)
    assert (gone.next, gone.known) == (200, False)
    tape.say(gone, 200, COUNT)
    join = joined(tapes() | {"acb": tape}, at=200)
    assert [*join.missing(chunk(200))] == ["acb"]


def test_what_a_lane_said_unheard_its_right_version_says_again(monkeypatch):
    monkeypatch.setattr(evaluators, "EVERY", 64)
    wrong = override(PROFILE, {"base": {"thr": -0.03}})
    found = tapes(wrong)
    for name, tape in found.items():
        voice = tape.worker(lane(name))
        assert voice.next == 0 or name not in ("base", "acb")
        tape.say(voice, voice.next, COUNT)
    equal(outcomes(Rules(PROFILE), partial(joined(found).values, 0)), outcomes(Rules(PROFILE)))


def test_nobody_goes_on_from_the_marks_of_another_log():
    tape = Tape()
    tape.say(tape.worker(lane("acb", log="cluster/scans/0")), 0, 300)
    assert tape.worker(lane("acb")).next == 0
    everyone = tapes()
    tape.extend(everyone["acb"])
    everyone["acb"] = tape
    equal(outcomes(Rules(PROFILE), partial(joined(everyone).values, 0)), outcomes(Rules(PROFILE)))


def test_a_candidate_goes_on_from_its_own_marks_alone():
    tape, other = Tape(), lane("acb", override(PROFILE, {"acb": {"signals_gain": 0.75}}))
    tape.say(tape.worker(other), 0, 500)
    for new, known, at in ((lane("acb"), False, 0), (other, True, tape.worker(other).next)):
        voice = Evaluator.resumed(new, 0, [tape], 0, new.is_own)
        assert (voice.known, voice.next) == (known, at)
        assert voice.written == decode(tape[-1].value).offset  # of whomever: nobody must take its marks for the first


def test_no_scan_is_given_before_all_five_spoke_of_it_and_the_missing_lane_has_a_name():
    found = tapes()
    silent = found["ob"][100:]
    del found["ob"][100:]
    join = joined(found)
    count, _ = join.ready(chunk(), None)
    assert count == decode(silent[0].value).offset
    assert join.missing(chunk(count)) == {"ob": ""}
    for record in silent:
        join.take("ob", record)
    assert join.ready(chunk(count), None)[0] == COUNT - count


def test_records_that_are_no_scans_wait_for_nobody():
    lines = [*records.every_plane(), *records.POISON[:3]]
    join = joined({})
    assert join.ready(Chunk(0, list(range(len(lines))), lines), None) == (len(lines), None)


def test_a_reading_that_comes_twice_is_harmless_unless_it_differs():
    found = tapes()
    join = joined(found)
    for record in found["acb"]:
        join.take("acb", record)
    other = decode(found["acb"][40].value)
    other.value = other.value + 1.0
    with pytest.raises(Contradiction, match=f"lane acb has two readings of offset {other.offset}"):
        join.take("acb", LaneRecord(0, msgspec.json.encode(other), None))


def test_a_lane_that_is_replaced_turns_at_the_first_offset_that_the_other_speaks_of_first():
    other = override(PROFILE, {"acb": {"signals_gain": 0.75}})
    found = tapes(end=300)
    for name, tape in found.items():
        voice = tape.worker(lane(name, other))  # it goes back to the last mark, and says some once more
        assert voice.next < 300
        tape.say(voice, voice.next, COUNT)
    join = joined(found)
    count, before = join.ready(chunk(), None)
    assert decode(next(r.value for r in found["acb"] if decode(r.value).offset >= 300)).offset == count
    none, after = join.ready(chunk(count), before)
    assert none == 0
    assert [name for name, a, b in zip(NAMES, before, after, strict=True) if a != b] == ["acb"]
    assert join.decided(before) == PROFILE
    assert join.decided(after) == other
    assert join.ready(chunk(count), after) == (COUNT - count, after)


SHARED = [("base", {"thr": -0.03}, ["base", "acb"]), ("esof", {"application": "sc_post"}, ["esof"])]


@pytest.mark.parametrize(("table", "params", "unheard"), SHARED)
def test_what_others_read_too_is_not_a_worker_s_to_choose(table, params, unheard):
    join = joined(tapes(override(PROFILE, {table: params})))
    count, _ = join.ready(chunk(), None)
    missing = join.missing(chunk(count))
    assert [*missing] == unheard
    assert all("not the soak's" in why for why in missing.values())


def test_params_of_another_version_are_nobody_s():
    params = checkpoints.params_of(PROFILE, "acb")
    assert checkpoints.accepted(PROFILE, "acb", params) == PROFILE.acb
    for other in ({**params, "own": {**params["own"], "gain": 2.0}}, {"own": params["own"]}, {**params, "own": {}}):
        assert checkpoints.accepted(PROFILE, "acb", other) is None


def test_where_only_some_may_speak_nobody_else_is_heard():
    other = override(PROFILE, {"dc": {"boost": 1.5}})
    only = tuple((lane(name).params_hash, lane(name).kernel_hash) for name in NAMES)
    found = tapes(other, end=300)
    for name, tape in found.items():
        tape.say(Evaluator.begun(lane(name), 0, tape.windows, 0, State().dump()), 0, COUNT)
    join = joined(found, only=only)
    assert join.ready(chunk(), None)[0] == COUNT
    equal(outcomes(Rules(PROFILE), partial(join.values, 0)), outcomes(Rules(PROFILE)))


def test_five_that_are_all_silent_of_a_scan_and_speak_of_later_ones_contradict_the_log():
    found = tapes()
    gone = decode(found["acb"][10].value).offset
    for name, tape in found.items():
        found[name] = [record for record in tape if decode(record.value).offset != gone]
    join = joined(found)
    assert join.ready(chunk(), None)[0] == COUNT
    with pytest.raises(Contradiction, match=f"offset {gone}"):
        outcomes(Rules(PROFILE), partial(join.values, 0))


def test_a_mark_s_hash_is_of_all_that_a_lane_reads():
    for name in NAMES:
        mine = {n: checkpoints.hash_of(checkpoints.params_of(override(PROFILE, change), name)) for n, change in {
            "same": {}, "own": {name: {"enabled": False}}, "extreme": {"base": {"extreme": -0.06}},
            "fanin": {"fanin": {"abs_max": 8.5}},
        }.items()}  # fmt: skip
        assert mine["own"] != mine["same"] == mine["fanin"]
        assert (mine["extreme"] != mine["same"]) is (name in ("base", "acb"))


FOREIGN = (b"", b"hello", b"\xff\x00", b"[]", b"{}", b'{"x":1}', b'{"partition":0,"offset":3}', b"null")


@pytest.mark.parametrize("header", [None, b"", b"\xff{", b'{"v":1}', b'{"v":2}'], ids=repr)
@pytest.mark.parametrize("raw", FOREIGN, ids=repr)
def test_what_is_no_reading_of_the_lane_is_passed_over(raw, header):
    found = tapes(end=40)
    found["acb"].insert(3, LaneRecord(3, raw, header))
    clean, seen = joined(tapes(end=40)), joined(found)
    assert seen.ready(chunk(0, 40), None) == clean.ready(chunk(0, 40), None)
    assert checkpoints.offset_of(raw) == (3 if b"offset" in raw else -1)


def test_a_reading_without_its_lane_s_components_is_passed_over():
    found = tapes(end=40)
    first = decode(found["acb"][0].value)
    first.components = {}
    found["acb"].insert(0, LaneRecord(0, encode(first), found["acb"][0].checkpoint))
    assert joined(found).ready(chunk(0, 40), None)[0] == 40
