"""The catalogue: every scenario, and what no scenario covers. The failure table of the docs is made of it."""

from typing import Final

from reactor.drill import absence, kill, machine, other_log, outage, poison, rival, wreck
from reactor.drill.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *kill.SCENARIOS, *rival.SCENARIOS, *other_log.SCENARIOS, *outage.SCENARIOS, *absence.SCENARIOS, *machine.SCENARIOS,
    *wreck.SCENARIOS, *poison.SCENARIOS,
)  # fmt: skip

# What happens, and why no scenario has it.
NOT_COVERED: Final[tuple[tuple[str, str], ...]] = (
    (
        "the power goes",
        "Killed processes leave their writes to the kernel. That inserts survive is ClickHouse's fsync, which is on.",
    ),
    ("a ClickHouse server, or replicated tables", "An embedded engine of another directory stands in for the server."),
    ("one of several brokers dies, and another leads", "The Kafka of a drill is one node."),
    ("a broker that acknowledges what it then loses", "Only its sign is injected: a log that is shorter than it was."),
    (
        "a kernel of somebody else's that never returns",
        "Nothing ends it: the soak waits, and its age in `violet status` grows.",
    ),
    ("an I/O error of one block of a disk", "It wants a device of its own; files are cut and flipped instead."),
    ("the wall clock of the whole machine", "That of the soak's process is turned; the engine's clock stays."),
    (
        "the kernel kills a process that is out of memory",
        "A soak is killed by SIGKILL, and gets no memory; a cgroup is not made.",
    ),
    ("a worker of `--topology faust` that meets garbage or dies", "Tests do that, with Faust's workers."),
    ("a broker with TLS, logins and rights", "Tests do that, on a secured Kafka."),
    ("BLUE changes its version or constants", "There is no contract yet that a comparison would break."),
    (
        "a column that is dropped from a table",
        "An insert that lacks it is refused, and the soak ends; no scenario does it.",
    ),
    (
        "a record that unpacks to gigabytes, a codec that nobody knows",
        "Of codecs only broken and foreign batches are tried.",
    ),
    ("time zones and summer time", "All times are UTC; no scenario changes the zone."),
    ("a body over the engine's limit, an unset HOME, a migration that keeps failing", "Tests do that, no scenario."),
    ("two imports, two soaks with one tap topic, readers that stop reading", "Tests do that, no scenario."),
    ("memory of verify and replay over long records", "It is measured nowhere yet."),
    ("a machine that is not Linux", "Signals, limits and mounts are Linux's."),
)
