"""What happens to a soak while it is simulated, each by a name; a seed has some of them.

Each takes the scenario, changes what stands behind the soaks' ports, and where it passes it says when.
"""

from journal.ledger.ledger import positions
from tests.simulate import invariants
from tests.simulate.log import Partition
from tests.strategies import encode, scan

ALARM_S = 10.0
# What may happen, and how likely a seed has it at all. A seed without most of them goes deeper into the rest.
FAULTS = {
    "kill": 0.6, "kill at a step": 0.6, "stop": 0.5, "stop at a step": 0.5, "terminate": 0.3, "second place": 0.6,
    "other params": 0.5, "slow": 0.3, "reset": 0.4, "lost answer": 0.5, "resend": 0.3, "server down": 0.35,
    "server silent": 0.25, "forget": 0.15, "refused rows": 0.15, "broker away": 0.2, "partition added": 0.25,
    "clock": 0.4, "sleep": 0.2, "retention": 0.5, "group": 0.3, "rewritten": 0.15, "disk": 0.15, "until": 0.2,
}  # fmt: skip


def one(scenario):
    alive = [p for p in scenario.processes.values() if p.alive]
    return scenario.rng.choice(alive) if alive else None


def kill(scenario):
    if (process := one(scenario)) is not None:
        process.kill()


def terminate(scenario):
    if (process := one(scenario)) is not None:
        process.asked_to_end = True


def stop(scenario, process, seconds):
    if process is not None and process.alive and not process.stopped:
        scenario.counts["stops"] += 1
        process.stopped_at = scenario.world.now
        process.pause()
        scenario.world.at(seconds, lambda: process.go_on() if process.stopped and process.alive else None)


def outage(scenario, state):
    if scenario.server.state != "up":
        return
    scenario.server.state, scenario.down_at = state, scenario.world.now
    began = scenario.world.now
    scenario.world.at(ALARM_S, lambda: alarmed(scenario, began))
    scenario.world.at(scenario.rng.choice((1.0, 5.0, 20.0)), lambda: back(scenario))


def back(scenario):
    scenario.server.state, scenario.down_at = "up", None


def alarmed(scenario, began):
    """ALARM_S into an outage everyone who soaked all the time has given the alarm (I7)."""
    if scenario.down_at != began or scenario.has("slow"):  # a call that is slow by itself tells of no outage
        return
    for process in scenario.processes.values():
        since = process.attending_since
        works = process.alive and not process.stopped and since is not None and since < began - 1.0
        if works and process.stopped_at < began - 30.0 and not process.asked_to_end and not process.is_alarmed:
            scenario.violations.append(f"I7: {process.name} gave no alarm within {ALARM_S:.0f} s of {began:.1f}")


def jump(scenario):
    by = scenario.rng.choice((400 * 86_400.0, 3_600.0 * 30, -3_600.0, -400 * 86_400.0, 40.0))
    scenario.world.ahead += by
    scenario.world.at(scenario.rng.choice((2.0, 12.0, 40.0)), lambda: true_time(scenario))


def true_time(scenario):
    scenario.world.ahead = scenario.world.base


def sleep(scenario):
    """The machine sleeps: time goes on for everybody. Not while its clock is wrong: for so long that is believed."""
    if scenario.world.ahead != scenario.world.base:
        return
    scenario.world.now += scenario.rng.choice((600.0, 5_000.0))
    scenario.down_at = None  # nobody could give an alarm meanwhile


def records(scenario):
    scenario.topic.grew_at = scenario.world.now
    for p, lines in scenario.coming.items():
        for _ in range(min(len(lines), scenario.rng.randint(0, 25))):
            gap = scenario.rng.choice((1, 2, 5)) if scenario.rng.random() < 0.05 and not scenario.until else 0
            scenario.topic.partitions[p].append(lines.pop(0), gap)


def grow(scenario):
    if len(scenario.topic.partitions) < 4:
        p = len(scenario.topic.partitions)
        scenario.topic.partitions.append(Partition())
        scenario.coming[p] = [scenario.line(scenario.feeds) for _ in range(scenario.rng.randint(0, 20))]


def rewind(scenario):
    """Somebody sets the group's offsets, or the broker forgot them."""
    for p, at in enumerate(scenario.topic.partitions):
        scenario.topic.group[p] = scenario.rng.randint(0, at.end)


def broker_away(scenario):
    scenario.topic.is_away = True
    scenario.world.at(scenario.rng.choice((1.0, 8.0)), lambda: broker_back(scenario))


def broker_back(scenario):
    scenario.topic.is_away = False


def refuse_rows(scenario):
    """From here on a row that nobody journaled yet breaks a constraint."""
    p = scenario.rng.randrange(len(scenario.topic.partitions))
    at = scenario.topic.partitions[p]
    new = [o for o in at.offsets if not invariants.begun(scenario.server.tables, p, o)]
    if new and not scenario.server.under_way:
        scenario.server.refuses.add((p, scenario.rng.choice(new)))


def rewrite(scenario):
    """The log comes back with other records, where a batch is in doubt; nobody works at that moment."""
    if scenario.is_rewritten or scenario.server.under_way or any(p.alive for p in scenario.processes.values()):
        return
    for run_id in sorted({row["run_id"] for row in scenario.server.tables.rows["violet_runs"]}):
        for p, at in positions(_Quiet(scenario.server.tables), run_id).items():
            if at.doubt is not None:
                where = scenario.topic.partitions[p].offsets.index(at.doubt[1])
                scenario.topic.partitions[p].values[where] = encode(scan(scan_id=77_000_000 + where, vel_div=-0.031))
                scenario.is_rewritten = True
                scenario.counts["a doubt rewritten"] += 1


def fill(scenario):
    scenario.used = scenario.rng.choice((0.82, 0.87, 0.95))
    scenario.was_full = scenario.was_full or scenario.used > 0.92
    scenario.world.at(scenario.rng.choice((3.0, 12.0)), lambda: empty(scenario))


def empty(scenario):
    scenario.used = 0.5


class _Quiet:
    """A store that nobody waits for."""

    def __init__(self, tables):
        self._tables = tables

    def rows(self, sql, params):
        return self._tables.ask(sql, params)


HAPPENINGS = {
    "records": records, "kill": kill, "terminate": terminate,
    "stop": lambda scenario: stop(scenario, one(scenario), scenario.rng.choice((1.0, 12.0, 25.0))),
    "server down": lambda scenario: outage(scenario, "down"), "server silent": lambda scenario: outage(scenario, "silent"),
    "forget": lambda scenario: scenario.server.forget(), "clock": jump, "sleep": sleep,
    "partition added": grow, "group": rewind, "broker away": broker_away,
    "refused rows": refuse_rows, "disk": fill,
}  # fmt: skip
