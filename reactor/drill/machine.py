"""What the machine does to a soak: memory, disk, clock, signals, streams, connections."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from journal.judge import raw
from journal.ledger import run as runs
from reactor.drill import lines
from reactor.drill.broker import NotAtHand
from reactor.drill.scenario import Scenario
from reactor.drill.stage import COUNT, Stage, result, until

SHORT_S: Final = 8.0
LEFT_BYTES: Final = 16 << 20  # of private memory, beyond what the soak has
DISK_BYTES: Final = 192 << 20  # from 87 to 92 % of it a soak begins, which takes some 6 MiB of tables
IDLE: Final = 1_100
DAY_S: Final = 86_400.0


def memory_short(stage: Stage) -> None:
    """The soak's process gets no more memory for eight seconds, while large valid scans come."""
    world, data = stage.world, stage.folder / "data"
    topic, small = world.filled(world.broker, lines.plain(50)), 55
    prices = {f"S{n:05}": 1.0 + n for n in range(20_000)}
    irp = {f"S{n:05}": {"score": n / 20_000, "alignment": 0.5} for n in range(9_000)}
    count = small + 120
    flags = ["soak", *stage.topic_flags("memory", data, topic=topic), "--until", count, "--flush-ms", 300]
    process = stage.start(*flags)
    until(lambda: stage.journaled(data, "memory") == small)
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines()
    # Not the address space: what an allocator has reserved there it may still take.
    used = 1024 * int(next(line for line in status if line.startswith("VmData")).split()[1])
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (used + LEFT_BYTES, resource.RLIM_INFINITY))
    world.broker.produce(topic, [lines.scan(1_000 + n, prices=prices, irp=irp) for n in range(60)])
    ends = time.monotonic() + SHORT_S
    while process.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    with suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    world.broker.produce(topic, [lines.scan(2_000 + n) for n in range(60)])
    said = process.ended()
    # What ends it is the first to ask: Python, or the Kafka client in C, which aborts.
    stage.inject("memory was short", said.code in {3, -signal.SIGABRT})
    stage.check("no verdict is given", said.out, "")
    again = stage.violet(*flags).json
    stage.check("every record is read, none is a reject", (again["records"], again["rejects"]), (count, 0))
    stage.check_verify(data, "--bootstrap-servers", world.broker.bootstrap)


# -- disk ----------------------------------------------------------------------------------------------------------


def _small(stage: Stage) -> Path:
    """A file system of the scenario's own. Raises NotAtHand where none can be mounted."""
    folder = stage.folder / "small"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        subprocess.run(line, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotAtHand("no file system can be mounted; fix: run it as root, where a tmpfs may be mounted") from None
    stage.stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False, capture_output=True)
    return folder


def fill(folder: Path, share: float) -> None:
    """Take so much of a file system that this share of it is used."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    usage = os.statvfs(folder)
    taken = usage.f_blocks - usage.f_bfree
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(usage.f_blocks * share - taken) * usage.f_frsize)


def disk_fills(stage: Stage) -> None:
    """The data directory's disk fills up between two starts, and gets room again."""
    folder = _small(stage)
    _ = stage.world.calm
    flags = ["soak", *stage.topic_flags("disk", folder / "data")]
    fill(folder, 0.87)
    left = stage.start(*flags, "--batch-size", 100, seam="after_completion", at=2, signal="SIGINT").ended()
    fill(folder, 0.93)
    halted = stage.violet(*flags)
    stage.inject("the disk was over 92 % full", halted.json["state"] == "HALTED")
    stage.check("HALTED before an outcome is lost", (halted.code, halted.json["records"]), (1, left.json["records"]))
    stage.check("a start is refused", stage.violet(*flags).code, 3)
    fill(folder, 0.5)
    again = stage.violet(*flags, "--resume-halted", "room was made").json
    stage.check("counts, hash and state are the calm run's", result(again), stage.world.calm.result)


def disk_read_only(stage: Stage) -> None:
    """The disk is mounted read-only when commands start."""
    folder = _small(stage)
    data = folder / "data"
    _ = stage.world.calm
    flags = ["soak", *stage.topic_flags("ro", data)]
    stage.start(*flags, "--batch-size", 100, seam="after_completion", at=2, signal="SIGINT").ended()
    asked = {name: [name, "--data", data] for name in ("status", "gate")}
    answers = {name: stage.violet(*line).code for name, line in asked.items()}
    remount = ["mount", "-o", "remount,ro", str(folder)]
    done = until(lambda: subprocess.run(remount, check=False, capture_output=True).returncode == 0)
    stage.inject("the disk is read-only", done)
    said = stage.violet(*flags)
    told = said.words.startswith("violet: ") and "Read-only" in said.words
    stage.check("a soak says so in a line, and exits 3", (said.code, told, said.err.count("\n")), (3, True, 1))
    stage.check("a copy answers", {name: stage.violet(*line).code for name, line in asked.items()}, answers)
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True, capture_output=True)
    stage.check("counts, hash and state are the calm run's", result(stage.violet(*flags).json), stage.world.calm.result)


# -- clock ---------------------------------------------------------------------------------------------------------


def _clock(off_s: float, words: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """The wall clock of the soak's process jumps after its second batch."""
        world, store, name = stage.world, stage.world.store, f"clock-{words.partition(' ')[0]}"
        topic = world.filled(world.broker, world.lines[:300])
        flags = ["soak", *stage.topic_flags(name, topic=topic), "--until", COUNT, "--keep-inputs", "30d"]
        _ = world.calm
        process = stage.start(*flags, "--batch-size", 100, "--flush-ms", 100, seam="after_completion", at=2,
                              clock_s=off_s)  # fmt: skip
        until(lambda: raw.journaled(store, name) == 300 and "CLOCK_JUMPED" in stage.codes(store, name))
        world.broker.produce(topic, world.lines[300:])
        said = process.ended()
        stage.inject(f"the wall clock jumped by {words}", "CLOCK_JUMPED" in stage.codes(store, name))
        stage.check_whole(said, store)
        stage.check("no day but those of the soak has a line", raw.days(store, name) <= 2)
        stage.check("the same command begins no other run", len(runs.ids(store, name=name)), 1)

    return act


# -- signals, streams, connections ---------------------------------------------------------------------------------


def _signalled(numbers: tuple[int, ...], codes: tuple[int, ...]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """In the middle of a soak; the same command goes on."""
        world, name = stage.world, "-".join(signal.Signals(number).name for number in numbers)
        store = world.store
        _ = world.calm
        flags = ["soak", *stage.topic_flags(name), "--batch-size", 25, "--flush-ms", 20]
        process = stage.start(*flags)
        until(lambda: raw.journaled(store, name) >= 25, every_s=0.01)
        sent = time.monotonic()
        for number in numbers:
            process.send(number)
            time.sleep(0.02)
        said = process.ended()
        was_left = not said.out or said.json["state"] == "STOPPED"
        stage.inject(f"{name} in the middle", said.code in codes and was_left)
        stage.check("it ends within 5 s", time.monotonic() - sent < 5.0)
        stage.check_whole(stage.violet(*flags), store)

    return act


def errors_closed(stage: Stage) -> None:
    """Nobody reads standard error any more; and its disk is full."""
    store = stage.world.store
    _ = stage.world.calm
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    for name, fd in (("pipe-closed", writer), ("dev-full", full)):
        said = stage.fresh("soak", *stage.topic_flags(name), "--batch-size", 50, errors=fd).ended()
        os.close(fd)
        stage.inject(f"standard error: {name}", said.err == "")
        stage.check_whole(said, store)


def output_closed(stage: Stage) -> None:
    """Whoever reads the answer of a command goes away: that is no verdict."""
    data = stage.world.data
    _ = stage.world.calm
    for command in (["gate", "calm"], ["status"], ["verify", "calm"], ["rejects", "calm"]):
        reader, writer = os.pipe()
        os.close(reader)
        said = stage.fresh(*command, "--data", data, output=writer).ended()
        os.close(writer)
        stage.inject(f"the reader of {command[0]} is gone", said.out == "")
        stage.check(f"{command[0]} exits 3, and not with a verdict", said.code, 3)
        stage.check(f"{command[0]} shows no traceback", "Traceback" in said.err, wanted=False)


def connections(stage: Stage) -> None:
    """More idle connections to the engine than a process may have files, and half a request of a login."""
    world, store, name = stage.world, stage.world.store, "crowded"
    _ = world.calm
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, IDLE + 500)), hard))
    held: list[socket.socket] = []
    stage.stack.push(lambda *_: _close(held))
    with suppress(OSError):  # what it takes is enough
        held.extend(socket.create_connection(("127.0.0.1", world.address.port), 2.0) for _ in range(IDLE))
    for each in held[:4]:
        with suppress(OSError):
            each.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nSELE")
    stage.inject(f"{len(held)} connections were held", len(held) > IDLE // 2)
    said = stage.violet("soak", *stage.topic_flags(name), "--batch-size", 100)
    stage.check_whole(said, store)
    asked = stage.violet("runs", "--data", world.data, "--json")
    stage.check("questions are answered meanwhile", asked.code, 0)


def _close(held: list[socket.socket]) -> None:
    for each in held:
        each.close()


def caches_spoilt(stage: Stage) -> None:
    """Machine code that is kept on disk is cut, emptied and flipped between two processes."""
    cache = stage.folder / "cache"
    env = {"NUMBA_CACHE_DIR": str(cache)}
    store = stage.world.store
    _ = stage.world.calm
    stage.check_whole(stage.fresh("soak", *stage.topic_flags("cached"), env=env).ended(), store)
    files = sorted(path for path in cache.rglob("*") if path.is_file())
    for number, path in enumerate(files):
        content = bytearray(path.read_bytes())
        half = len(content) // 2
        content[half] ^= 1
        path.write_bytes(content[: (len(content), half, 0)[number % 3]])
    stage.inject(f"{len(files)} files of machine code were spoilt", files)
    stage.check_whole(stage.fresh("soak", *stage.topic_flags("spoilt"), env=env).ended(), store)


CALM: Final = "nothing is lost or doubled; the hash is the calm run's"
CLOCK: Final = f"an incident CLOCK_JUMPED; no input is dropped, no day is closed on its word; {CALM}"
SCENARIOS: Final = (
    Scenario("memory-short", f"the soak's process gets no more memory for {SHORT_S:.0f} s, while valid scans come",
             "it ends with 3, or librdkafka aborts it; no verdict; a resume reads them all; no valid scan is a reject",
             memory_short, quick=True),
    Scenario("disk-fills", "the disk fills up to 93 %, and gets room again",
             "DEGRADED, then HALTED before an outcome is lost; then the calm run's hash", disk_fills, quick=True),
    Scenario("disk-read-only", "the disk is read-only when commands start", "a soak says so in a line, exit "
             "code 3; a copy answers who asks; then the calm run's hash", disk_read_only),
    Scenario("clock-ahead", "the wall clock jumps 400 days ahead", CLOCK, _clock(400 * DAY_S, "400 days"), quick=True),
    Scenario("clock-back", "the wall clock jumps a day back", CLOCK, _clock(-DAY_S, "a day, back")),
    Scenario("sigterm", "SIGTERM", f"what was read is journaled, within 5 s; {CALM}",
             _signalled((signal.SIGTERM,), (2,)), quick=True),
    Scenario("interrupt-twice", "Ctrl-C twice", f"it ends within 5 s; the same command goes on; {CALM}",
             _signalled((signal.SIGINT, signal.SIGINT), (2, 3, -signal.SIGINT))),
    Scenario("terminal-gone", "SIGHUP: its terminal is gone", f"what was read is journaled; {CALM}",
             _signalled((signal.SIGHUP,), (2,))),
    Scenario("stderr-closed", "nobody reads standard error; its disk is full", CALM, errors_closed, quick=True),
    Scenario("stdout-closed", "whoever reads a command's answer goes away", "exit code 3, which is no verdict; no "
             "traceback", output_closed),
    Scenario("connections-idle", f"{IDLE:,} connections to the engine that say nothing, and half requests",
             f"readers are answered; {CALM}", connections),
    Scenario("machine-code-spoilt", "kept machine code is cut, emptied, flipped", f"it is compiled anew; {CALM}",
             caches_spoilt),
)  # fmt: skip
