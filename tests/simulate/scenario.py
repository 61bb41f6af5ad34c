"""A seed: which faults, when they come, the processes of two places that soak one topic, and whether all held.

    Result: run(seed) -> Outcome, whose `violations` say in words what did not hold, and whose `trace` is the history.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from journal.ledger import claim as claims
from journal.ledger import steady
from journal.ledger.claim import Beat
from journal.ledger.ledger import Ledger, positions
from journal.refusal import Refusal
from reactor.run import attend, session, settings
from reactor.run.attend import Watcher
from reactor.run.source import reread
from tests.simulate import invariants
from tests.simulate.ports import Partition, Server, SimFile, SimSource, Topic, connect, installed, revive
from tests.simulate.scheduler import Killed, Process, World
from tests.strategies import POISON, _feed, encode, scan

NAME = "simulated"
HAPPENINGS = 30  # then all is well
CALM_S = 900.0  # within which the run must be at its end
KEEP_S = 3_600.0
SLACK_S = 5.0  # that a clock may be off without a jump
ALARM_S = 10.0
_POISON = [raw for _, raw, _ in POISON if raw is None or len(raw) < 2_000]
# What may happen, and how likely a seed has it at all. A seed without most of them goes deeper into the rest.
FAULTS = {
    "kill": 0.6, "kill at a step": 0.6, "stop": 0.5, "stop at a step": 0.4, "terminate": 0.3, "second place": 0.6,
    "other params": 0.3, "slow": 0.3, "reset": 0.4, "lost answer": 0.5, "resend": 0.3, "server down": 0.35,
    "server silent": 0.25, "forget": 0.15, "refused rows": 0.15, "broker away": 0.2, "partition added": 0.25,
    "clock": 0.4, "sleep": 0.2, "retention": 0.5, "group": 0.3, "rewritten": 0.15, "disk": 0.15, "until": 0.2,
}  # fmt: skip


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


@cache
def _settings(profile, keep, until, resumed):
    flags = {
        "bootstrap_servers": "simulated:9092", "topic": "scans", "name": NAME, "profile": profile, "batch_size": 7,
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
        self.seed, self.world = seed, World(seed)
        rng = self.rng = random.Random(seed ^ 0x51A7)
        self.faults = {name for name, share in FAULTS.items() if rng.random() < share}
        self.calls = {name: rng.choice((0.01, 0.05)) for name in ("slow", "reset", "lost answer", "resend") if self.has(name)}
        self.server = Server(self.world, self.calls, self._journaled)
        self.topic = Topic(self.world, rng.randint(1, 3), self._committed)
        if self.has("until"):  # what soaks an ended run begins another one
            self.faults -= {"second place", "partition added"}
        self.until = str(rng.randint(5, 20)) if self.has("until") else ""
        self.processes, self.violations, self.counts = {}, [], Counter()
        self.left = HAPPENINGS
        self.is_calm = self.has_ended = self.is_rewritten = False
        self.files = {place: SimFile() for place in "ab"}
        self.used, self.was_full = 0.5, False
        self.down_at, self.completed_at, self.pruned, self.lost_early = None, {}, {}, []
        feeds = [_feed(rng, stream) for stream in ("ng7", "alt.2")]
        self.coming = {p: [self._line(feeds) for _ in range(rng.randint(20, 60))] for p in range(len(self.topic.partitions))}
        self.feeds = feeds

    def has(self, fault):
        return fault in self.faults

    def _line(self, feeds):
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
        if self.world.ahead != self.world.base:  # a clock that is wrong at the start is believed: docs/limits.md
            return
        process = Process(self.world, f"{place}{self.counts['starts']}")
        process.place, process.attending_since, process.is_alarmed, process.stopped_at = place, None, False, -1.0
        self.processes[place] = process
        self.counts["starts"] += 1
        self.world.say(f"{process.name} starts")
        self.world.spawn(process, lambda: self._soak(process))

    def _soak(self, process):
        try:
            process.clock = steady.Clock(self.world.wall, self.world.running)
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
        claim = claims.take(store, NAME, place)
        held = Beat(claim, lambda: connect(self.server))
        try:
            source = SimSource(self.topic)
            opened = session.Session(
                _settings(profile, self.has("retention"), self.until, self.was_full), store, source,
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
        if not self.is_calm and self.has("kill at a step") and self.rng.random() < 0.01:
            self.counts["kills at a step"] += 1
            process.kill()
            raise Killed
        if not self.is_calm and self.has("stop at a step") and self.rng.random() < 0.01:
            self._stop(process, self.rng.choice((2.0, 15.0, 30.0)))
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
        name = self.rng.choice(["records", "records", *sorted(self.faults & _HAPPENINGS.keys())])
        self.counts[name] += 1
        self.world.say(f"-- {name}")
        _HAPPENINGS[name](self)

    def _one(self):
        alive = [p for p in self.processes.values() if p.alive]
        return self.rng.choice(alive) if alive else None

    def _kill(self):
        if (process := self._one()) is not None:
            process.kill()

    def _terminate(self):
        if (process := self._one()) is not None:
            process.asked_to_end = True

    def _stop(self, process, seconds):
        if process is not None and process.alive and not process.stopped:
            self.counts["stops"] += 1
            process.stopped_at = self.world.now
            process.pause()
            self.world.at(seconds, lambda: process.go_on() if process.stopped and process.alive else None)

    def _outage(self, state):
        if self.server.state != "up":
            return
        self.server.state, self.down_at = state, self.world.now
        began = self.world.now
        self.world.at(ALARM_S, lambda: self._alarmed(began))
        self.world.at(self.rng.choice((1.0, 5.0, 20.0)), self._back)

    def _back(self):
        self.server.state, self.down_at = "up", None

    def _alarmed(self, began):
        """ALARM_S into an outage everyone who soaked all the time has given the alarm (I7)."""
        if self.down_at != began or self.has("slow"):  # a call that is slow by itself tells of no outage
            return
        for process in self.processes.values():
            since = process.attending_since
            works = process.alive and not process.stopped and since is not None and since < began - 1.0
            if works and process.stopped_at < began - 30.0 and not process.asked_to_end and not process.is_alarmed:
                self.violations.append(f"I7: {process.name} gave no alarm within {ALARM_S:.0f} s of {began:.1f}")

    def _jump(self):
        by = self.rng.choice((400 * 86_400.0, 3_600.0 * 30, -3_600.0, -400 * 86_400.0, 40.0))
        self.world.ahead += by
        self.world.at(self.rng.choice((2.0, 12.0, 40.0)), self._true_time)

    def _true_time(self):
        self.world.ahead = self.world.base

    def _sleep(self):
        """The machine sleeps: time goes on for everybody."""
        self.world.now += self.rng.choice((600.0, 5_000.0))

    def _records(self):
        for p, lines in self.coming.items():
            for _ in range(min(len(lines), self.rng.randint(0, 25))):
                gap = self.rng.choice((1, 2, 5)) if self.rng.random() < 0.05 and not self.until else 0
                self.topic.partitions[p].append(lines.pop(0), gap)

    def _grow(self):
        if len(self.topic.partitions) < 4:
            p = len(self.topic.partitions)
            self.topic.partitions.append(Partition())
            self.coming[p] = [self._line(self.feeds) for _ in range(self.rng.randint(0, 20))]

    def _rewind(self):
        """Somebody sets the group's offsets, or the broker forgot them."""
        for p, at in enumerate(self.topic.partitions):
            self.topic.group[p] = self.rng.randint(0, at.end)

    def _broker_away(self):
        self.topic.is_away = True
        self.world.at(self.rng.choice((1.0, 8.0)), self._broker_back)

    def _broker_back(self):
        self.topic.is_away = False

    def _refuse_rows(self):
        """From here on a row that nobody journaled yet breaks a constraint."""
        p = self.rng.randrange(len(self.topic.partitions))
        at = self.topic.partitions[p]
        new = [o for o in at.offsets if not invariants.begun(self.server.tables, p, o)]
        if new and not self.server.under_way:
            self.server.refuses.add((p, self.rng.choice(new)))

    def _rewrite(self):
        """The log comes back with other records, where a batch is in doubt; nobody works at that moment."""
        if self.is_rewritten or self.server.under_way or any(p.alive for p in self.processes.values()):
            return
        for run_id in {row["run_id"] for row in self.server.tables.rows["violet_runs"]}:
            for p, at in positions(_Quiet(self.server.tables), run_id).items():
                if at.doubt is not None:
                    where = self.topic.partitions[p].offsets.index(at.doubt[1])
                    self.topic.partitions[p].values[where] = encode(scan(scan_id=77_000_000 + where, vel_div=-0.031))
                    self.is_rewritten = True

    def _fill(self):
        self.used = self.rng.choice((0.82, 0.87, 0.95))
        self.was_full = self.was_full or self.used > 0.92
        self.world.at(self.rng.choice((3.0, 12.0)), self._empty)

    def _empty(self):
        self.used = 0.5

    def calm(self):
        """All is well from here on; what is left of the records comes."""
        self.is_calm = True
        self.world.say("-- calm")
        self._back()
        self._broker_back()
        self._true_time()
        self._empty()
        self.server.faults = {}
        while any(self.coming.values()):
            self._records()
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
                self.violations.append(f"I5: offset {offset} of partition {p} is committed, journaled is {done.get(p, 0)}")

    def _journaled(self, table, row):
        """A batch or a pruning is stored: inputs go when they are KEEP_S old, by the true time."""
        p, last = row["partition"], row["last_offset"]
        if table == "violet_batches":
            if row["phase"] == "COMPLETE":
                self.completed_at.setdefault((p, last), self.world.now)
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
        if not self.is_calm:
            return self.until != "" and self._at_ends()
        return self._at_ends()

    def _at_ends(self):
        done = invariants.completed(self.server.tables)
        for p, at in enumerate(self.topic.partitions):
            wanted = [o for o in at.offsets if not self.until or o < int(self.until)]
            if (self.until and at.end < int(self.until) and self.coming[p]) or (wanted and done.get(p, 0) <= wanted[-1]):
                return False
        return not self.until or invariants.state(self.server.tables) == "ENDED"

    def is_halted(self):
        return self.is_rewritten and invariants.state(self.server.tables) == "HALTED"

    def run(self):
        world = self.world
        for place in "ab" if self.has("second place") else "a":
            world.at(self.rng.uniform(0.0, 2.0) if place == "a" else self.rng.uniform(3.0, 30.0), lambda at=place: self.start(at))
        world.at(0.0, self._records)
        world.at(1.0, self.chaos)
        with installed(world, lambda: _Usage(self.used)):
            world.run()
        for error in world.failures:
            self.violations.append(f"I10: a process ends with {type(error).__name__}: {error}")
        if not self.is_complete() and not self.is_halted():
            self.violations.append(f"I10: not at the end {CALM_S:.0f} s after all is well")
        self.violations += self.server.tables.wrong + invariants.check(self)
        self.counts["batches"] = len(invariants.completions(self.server.tables))
        self.counts["calls"] = len(self.server.history)
        return Outcome(self.seed, self.violations, world.trace, self.server.history, self.counts)


class _Usage:
    total = 1_000

    def __init__(self, share):
        self.used = int(share * self.total)


class _Quiet:
    """A store that nobody waits for."""

    def __init__(self, tables):
        self._tables = tables

    def rows(self, sql, params):
        return self._tables.ask(sql, params)


_HAPPENINGS = {
    "records": Scenario._records, "kill": Scenario._kill, "terminate": Scenario._terminate,
    "stop": lambda self: self._stop(self._one(), self.rng.choice((1.0, 12.0, 25.0))),
    "server down": lambda self: self._outage("down"), "server silent": lambda self: self._outage("silent"),
    "forget": lambda self: self.server.forget(), "clock": Scenario._jump, "sleep": Scenario._sleep,
    "partition added": Scenario._grow, "group": Scenario._rewind, "broker away": Scenario._broker_away,
    "refused rows": Scenario._refuse_rows, "rewritten": Scenario._rewrite, "disk": Scenario._fill,
}  # fmt: skip


def run(seed):
    """The outcome of a seed."""
    return Scenario(seed).run()
