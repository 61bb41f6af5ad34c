"""A seed: which faults, when they come, the processes of two places that soak one topic, and whether all held.

`run(seed)` gives an Outcome, whose `violations` say what did not hold, and whose `trace` is the history.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

from journal.ledger import claim as claims
from journal.ledger import run as runs
from journal.ledger import steady
from journal.ledger.claim import Beat
from journal.ledger.ledger import Ledger
from journal.refusal import Refusal
from reactor.run import attend, session, settings
from reactor.run.attend import Watcher
from reactor.run.source import reread
from tests.simulate import happenings, invariants
from tests.simulate.log import SimSource, Topic
from tests.simulate.ports import Server, SimFile, connect, installed, revive
from tests.simulate.scheduler import Killed, Process, World
from tests.strategies import POISON, _feed

MANY = 30  # then all is well
CALM_S = 900.0  # within which the run must be at its end
KEEP_S = 3_600.0
SLACK_S = 5.0  # that a clock may be off without a jump
_POISON = [raw for _, raw, _ in POISON if raw is None or len(raw) < 2_000]


@dataclass
class Outcome:
    """What a seed gave. counts: what happened how often. history: all that the server was asked and told."""

    seed: int
    violations: list
    trace: list
    history: list
    counts: Counter = field(default_factory=Counter)

    def __str__(self):
        last = "\n".join(f"  {line}" for line in self.trace[-40:])
        found = "\n".join(f"  {each}" for each in self.violations)
        return f"seed {self.seed}; once more: python -m tests.simulate --seed {self.seed}\n{found}\nat the end:\n{last}"


@lru_cache(maxsize=8)
def _settings(name, profile, keep, until, resumed):
    flags = {
        "bootstrap_servers": "simulated:9092", "topic": "scans", "name": name, "profile": profile, "batch_size": 7,
        "flush_ms": 500, "new_segment": True,
    }  # fmt: skip
    flags |= {"keep_inputs": f"{KEEP_S:.0f}s"} if keep else {}
    flags |= {"until": until} if until else {}
    flags |= {"resume_halted": "there is space again"} if resumed else {}
    return settings.load(flags, environ={})


class _Watch(Watcher):
    def __init__(self, process):
        self._process = process

    def away(self, outage):
        self._process.world.say(f"{self._process.name} alarm {'on' if outage else 'off'}")
        self._process.is_alarmed = outage is not None


class Scenario:
    """One seed while it runs."""

    def __init__(self, seed):
        self.seed, self.name, self.world = seed, f"simulated-{seed}", World(seed)
        rng = self.rng = random.Random(seed ^ 0x51A7)
        self.faults = {name for name, share in happenings.FAULTS.items() if rng.random() < share}
        self.calls = {
            name: rng.choice((0.01, 0.05)) for name in ("slow", "reset", "lost answer", "resend") if self.has(name)
        }
        self.server = Server(self.world, self.calls, self._journaled)
        self.topic = Topic(self.world, rng.randint(1, 3), self._committed)
        if self.has("until"):  # what soaks an ended run begins another one
            self.faults -= {"second place", "partition added"}
        if self.has("rewritten"):  # that is seen only where nobody works meanwhile
            self.faults = self.faults - {"second place"} | {"kill at a step"}
        self.until = str(rng.randint(5, 20)) if self.has("until") else ""
        self.processes, self.violations, self.counts = {}, [], Counter()
        self.left = MANY
        self.is_calm = self.has_ended = self.is_rewritten = False
        self.files, self.clocks = ({place: SimFile() for place in "ab"} for _ in range(2))
        self.used, self.was_full = 0.5, False
        self.down_at, self.completed_at, self.pruned, self.lost_early = None, {}, {}, []
        feeds = [_feed(rng, stream) for stream in ("ng7", "alt.2")]
        self.coming = {
            p: [self.line(feeds) for _ in range(rng.randint(20, 60))] for p in range(len(self.topic.partitions))
        }
        self.feeds = feeds

    def has(self, fault):
        return fault in self.faults

    def line(self, feeds):
        return self.rng.choice(_POISON) if self.rng.random() < 0.08 else next(self.rng.choice(feeds))

    # -- what soaks ------------------------------------------------------------------------------------------------

    def start(self, place):
        """The same command once more, where no process of the place lives and the run is not at its end."""
        if self.has_ended or (self.is_calm and (self.is_complete() or self.is_halted())):
            return
        self.world.at(self.rng.uniform(0.5, 8.0), lambda: self.start(place))
        had = self.processes.get(place)
        if (had is not None and had.alive) or self.is_complete() or self.is_halted():
            return
        process = Process(self.world, f"{place}{self.counts['starts']}")
        process.place, process.attending_since, process.is_alarmed, process.stopped_at = place, None, False, -1.0
        process.clock = steady.Clock(self.world.wall, self.world.running, "one running of the machine")
        process.clock_file = self.clocks[place]
        self.processes[place] = process
        self.counts["starts"] += 1
        self.world.say(f"{process.name} starts")
        self.world.spawn(process, lambda: self._soak(process))

    def _soak(self, process):
        try:
            words = self._attended(process)
        except Refusal as refusal:
            words = f"{type(refusal).__name__}: {refusal}"
            self.counts[type(refusal).__name__] += 1
        process.over = True
        self.world.say(f"{process.name} ends: {words[:160]}")

    def _attended(self, process):
        world, place = self.world, process.place
        profile = "v3_base9" if place == "b" and self.has("other params") else "blue_8b"
        store = connect(self.server)
        process.clock.begin(process.clock_file, runs.last_word(store))
        claim = claims.take(store, self.name, place)
        held = Beat(claim, lambda: connect(self.server))
        try:
            source = SimSource(self.topic)
            opened = session.Session(
                _settings(self.name, profile, self.has("retention"), self.until, self.was_full), store, source,
                lambda run_id: Ledger(
                    store, run_id, lambda p, offsets: reread(source, p, offsets), claim=claim,
                    revive=lambda: revive(self.server), stop=lambda: self._ends(process), on_away=_Watch(process).away,
                    memory=self.files[place], seam=lambda name: self._step(process, name),
                ),
            )  # fmt: skip
            process.attending_since = world.now
            attend.attend(opened, _Watch(process), lambda: self._ends(process))
            return opened.run.state
        finally:
            held.release()

    def _ends(self, process):
        return process.asked_to_end or (self.is_calm and self.is_complete())

    def _step(self, process, name):
        """A step of the ledger, by its name: a process may end or be stopped just there."""
        self.world.say(f"{process.name} {name}")
        if not self.is_calm and self.has("kill at a step") and self.rng.random() < 0.02:
            self.counts["kills at a step"] += 1
            process.kill()
            if self.has("rewritten"):
                self.world.at(0.3, lambda: happenings.rewrite(self))
            raise Killed
        if not self.is_calm and self.has("stop at a step") and self.rng.random() < 0.03:
            happenings.stop(self, process, self.rng.choice((2.0, 15.0, 30.0)))
            self.world.wait(0.0)

    # -- what happens ----------------------------------------------------------------------------------------------

    def chaos(self):
        """Something happens, and something else later."""
        if self.left == 0:
            self.calm()
            return
        self.left -= 1
        again = self.rng.uniform(0.1, 4.0)
        self.world.idle_until = self.world.now + again
        self.world.at(again, self.chaos)
        name = self.rng.choice(["records", "records", *sorted(self.faults & happenings.HAPPENINGS.keys())])
        self.counts[name] += 1
        self.world.say(f"-- {name}")
        happenings.HAPPENINGS[name](self)

    def calm(self):
        """All is well from here on; what is left of the records comes."""
        self.is_calm = True
        self.world.say("-- calm")
        for over in (happenings.back, happenings.broker_back, happenings.true_time, happenings.empty):
            over(self)
        self.server.faults = {}
        while any(self.coming.values()):
            happenings.records(self)
        for process in self.processes.values():
            process.asked_to_end = False
            if process.alive and process.stopped:
                process.go_on()
        self.world.idle_until = self.world.now + CALM_S
        self.world.at(CALM_S, self._finish)

    def _finish(self):
        self.has_ended = True
        for process in self.processes.values():
            if process.alive:
                process.kill()

    # -- how it ends -----------------------------------------------------------------------------------------------

    def _committed(self, positions):
        done = invariants.completed(self.server.tables)
        for p, offset in positions.items():
            if offset > done.get(p, 0):
                self.violations.append(
                    f"I5: offset {offset} of partition {p} is committed, journaled is {done.get(p, 0)}"
                )

    def _journaled(self, table, row, sent_at):
        """A batch or a pruning is stored: inputs go when they are KEEP_S old, by the true time."""
        p, last = row["partition"], row["last_offset"]
        if table == "violet_batches":
            if row["phase"] == "COMPLETE":
                self.completed_at.setdefault((p, last), sent_at)
            return
        for (partition, end), at in self.completed_at.items():
            age_s = self.world.now - at
            if partition == p and self.pruned.get(p, -1) < end <= last and age_s < KEEP_S - SLACK_S:
                self.lost_early.append(f"R: inputs of partition {p} up to {end} went after {age_s:.0f} s")
        self.pruned[p] = max(last, self.pruned.get(p, -1))
        self.counts["prunings"] += 1

    def dropped(self, partition, offset):
        """Whether retention dropped an offset's inputs."""
        return offset <= self.pruned.get(partition, -1)

    def is_complete(self):
        """Whether all is journaled that will come, where that is known."""
        return (self.is_calm or self.until != "") and self._at_ends()

    def _at_ends(self):
        done = invariants.completed(self.server.tables)
        for p, at in enumerate(self.topic.partitions):
            wanted = [o for o in at.offsets if not self.until or o < int(self.until)]
            if (self.until and at.end < int(self.until) and self.coming[p]) or (
                wanted and done.get(p, 0) <= wanted[-1]
            ):
                return False
        return not self.until or invariants.state(self.server.tables) == "ENDED"

    def is_halted(self):
        return self.is_rewritten and invariants.state(self.server.tables) == "HALTED"

    def run(self):
        world = self.world
        for place in "ab" if self.has("second place") else "a":
            world.at(
                self.rng.uniform(0.0, 2.0) if place == "a" else self.rng.uniform(3.0, 30.0),
                lambda at=place: self.start(at),
            )
        world.at(0.0, lambda: happenings.records(self))
        world.at(1.0, self.chaos)
        with installed(world, lambda: _Usage(self.used)):
            world.run()
        for error in world.failures:
            self.violations.append(f"I10: a process ends with {type(error).__name__}: {error}")
        if not self.is_complete() and not self.is_halted():
            self.violations.append(f"I10: not at the end {CALM_S:.0f} s after all is well")
        self.violations += self.server.tables.wrong + invariants.check(self)
        self.counts["batches"] = len(self.server.tables.of("violet_batches", phase="COMPLETE"))
        self.counts["calls"] = len(self.server.history)
        return Outcome(self.seed, self.violations, world.trace, self.server.history, self.counts)


class _Usage:
    total = 1_000

    def __init__(self, share):
        self.used = int(share * self.total)


def run(seed):
    """The outcome of a seed."""
    return Scenario(seed).run()


def found(span):
    """What the seeds of a span gave: counts of what happened, and the outcomes that did not hold, as text."""
    counts, bad = Counter(), []
    for seed in range(*span):
        outcome = run(seed)
        counts += outcome.counts
        if outcome.violations:
            bad.append(str(outcome))
    return counts, bad
