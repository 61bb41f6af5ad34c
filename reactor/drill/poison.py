"""Records that are wrong, hostile or large, feeds that stop, and kernels of somebody else's that misbehave.

See docs/design/running.md.
"""

import os
from collections.abc import Callable
from typing import Any, Final

from journal.judge import raw, reject
from journal.ledger import run as runs
from reactor.drill import lines
from reactor.drill.scenario import Scenario
from reactor.drill.stage import COUNT, SOUND, Said, Stage, quiet_environment, result
from reactor.evaluate.record import CUT_BYTES, DIGEST_HEADER, LENGTH_HEADER

GOOD: Final = 20
ESCAPES: Final = ("\x1b]0;drilled\x07", "\x1b[2J", "\x1b[31m")
HEADERS: Final[tuple[dict[str, bytes | None], ...]] = tuple(
    {LENGTH_HEADER: length, DIGEST_HEADER: digest}
    for length, digest in (
        (b"NaN", b"a" * 64), (b"-1", b"00"), (b"1" * 30, b"a" * 64), (None, None), (b"\xff", b"\xff" * 64),
        (b"900001", b"\xff" * 64), (b"", b""), (b"5", b"a" * 64),
    )
)  # fmt: skip
_SCAN: Final = lines.scan(900)
# What each is -> the code that it must have; of bytes that a JSON decoder may take for something.
ODD: Final[tuple[tuple[bytes | None, str], ...]] = (
    (None, "EMPTY"),
    (b"", "EMPTY"),
    (b"null", "MALFORMED"),
    (b"[]", "MALFORMED"),
    (b"17", "MALFORMED"),
    (_SCAN[:-9], "MALFORMED"),
    (_SCAN + b"{}", "MALFORMED"),
    (b"\xff\xfe" + _SCAN, "MALFORMED"),
    (_SCAN.replace(b'"ng7"', b'"\xff"'), "MALFORMED"),
    (_SCAN.replace(b'"ng7"', b'"\\ud800"'), "MALFORMED"),
    (_SCAN.replace(b'"ng7"', b'"a\\u0000b"'), "BAD_NAME"),
    (_SCAN.replace(b'"ng7"', b'"x\'; DROP TABLE violet_runs; --"'), "BAD_NAME"),
    (_SCAN.replace(b"-0.0337", b"NaN"), "NON_FINITE"),
    (_SCAN.replace(b"-0.0337", b"-Infinity"), "NON_FINITE"),
    (_SCAN.replace(b"-0.0337", b"1e999"), "NON_FINITE"),
    (_SCAN.replace(b"-0.0337", b'"-0.03"'), "WRONG_TYPE"),
    (_SCAN.replace(b"-0.0337", b"true"), "WRONG_TYPE"),
    (_SCAN.replace(b':900,"ts_ms"', b':-1,"ts_ms"'), "OUT_OF_RANGE"),
    (_SCAN.replace(b':900,"ts_ms"', b':18446744073709551616,"ts_ms"'), "OUT_OF_RANGE"),
    (_SCAN.replace(b':900,"ts_ms"', b':1.5,"ts_ms"'), "WRONG_TYPE"),
    (lines.scan(901, ts_ms=0), "OUT_OF_RANGE"),
    (lines.scan(902, ts_ms=-5), "OUT_OF_RANGE"),
    (lines.scan(903, ts_ms=99_999_999_999_999), "OUT_OF_RANGE"),
    (_SCAN.replace(b'"v":1', b'"v":2'), "SCHEMA_VERSION"),
    (_SCAN.replace(b'"v":1,', b""), "SCHEMA_VERSION"),
    (_SCAN.replace(b'"kind":"scan"', b'"kind":"order"'), "KIND"),
    (_SCAN.replace(b'"scan_id":900,', b""), "MISSING_FIELD"),
    (b'{"v":1,"kind":"scan","context":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "MALFORMED"),
    (_SCAN.replace(b"-0.0337", b"-0." + b"3" * 5_000), ""),
    (_SCAN.replace(b'"v":1', b'"v":1,"v":1'), ""),
    (lines.scan(904, vel_div=-0.0), ""),
    (lines.scan(905, vel_div=-5e-324), ""),
    (lines.scan(906, weather="unknown field"), ""),
)


def _soaked(stage: Stage, name: str, topic: str, count: int, *more: object) -> dict[str, Any]:
    """The summary of a soak of a topic of so many records."""
    flags = ["soak", *stage.topic_flags(name, topic=topic), "--until", count, *more]
    summary: dict[str, Any] = stage.violet(*flags).json
    stage.check("lost, doubled, corrupt are 0", {each: summary[each] for each in SOUND}, SOUND)
    stage.check("every record has an outcome", summary["records"], count)
    return summary


def odd_records(stage: Stage) -> None:
    """Each kind of bytes that is no record, between good ones."""
    store, broker = stage.world.store, stage.world.broker
    topic = stage.world.filled(broker, [lines.scan(n) for n in range(GOOD)])
    broker.produce(topic, [body for body, _ in ODD])
    broker.produce(topic, [lines.scan(n) for n in range(2_000, 2_000 + GOOD)])
    count = len(ODD) + 2 * GOOD
    summary = _soaked(stage, "odd", topic, count)
    stage.inject(f"{len(ODD)} odd records were read", summary["records"] == count)
    found = raw.rejects(store, summary["run_id"])
    for number, (body, code) in enumerate(ODD):
        stage.check(f"{(body or b'null')[:40]!r} is {code or 'read'}", found.get(GOOD + number, ""), code)
    stage.check("no other record is a reject", summary["rejects"], sum(bool(code) for _, code in ODD))
    stage.check_verify(stage.world.data, "--bootstrap-servers", broker.bootstrap, run=summary["run_id"])


def headers(stage: Stage) -> None:
    """Records as long as the cut, with our own headers, which say nonsense."""
    store, broker = stage.world.store, stage.world.broker
    topic = stage.world.filled(broker, [lines.scan(n) for n in range(GOOD)])
    for each in HEADERS:
        broker.produce(topic, [lines.scan(7).ljust(CUT_BYTES)], headers=each)
    broker.produce(topic, [lines.scan(n) for n in range(60, 60 + GOOD)])
    count = 2 * GOOD + len(HEADERS)
    summary = _soaked(stage, "headers", topic, count)
    stage.inject(f"{len(HEADERS)} records with such headers were read", summary["records"] == count)
    stage.check("each is one reject", summary["rejects"], len(HEADERS))
    stage.check("it is by its offset", sorted(raw.rejects(store, summary["run_id"])),
                [*range(GOOD, GOOD + len(HEADERS))])  # fmt: skip


def large(stage: Stage) -> None:
    """Ten megabytes of value, a megabyte of key, ten thousand headers, on Apache Kafka."""
    kafka, store = stage.world.kafka, stage.world.store
    limit: dict[str, Any] = {"max.message.bytes": str(12 << 20)}
    topic = kafka.create_topic(**limit)
    wide = {"message.max.bytes": 12 << 20, "queue.buffering.max.kbytes": 65_536}
    kafka.produce(topic, [lines.scan(n) for n in range(GOOD)])
    kafka.produce(topic, [b'{"v":1,"kind":"scan","context":"' + b"x" * (10 << 20) + b'"}'], config=wide)
    kafka.produce(topic, [lines.scan(30)], key=b"k" * (1 << 20), config=wide)
    kafka.produce(topic, [lines.scan(31)], headers={f"h{n}": b"v" for n in range(10_000)}, config=wide)
    kafka.produce(topic, [lines.scan(n) for n in range(60, 60 + GOOD)])
    count = 2 * GOOD + 3
    flags = ["soak", *stage.topic_flags("large", topic=topic, broker=kafka), "--until", count]
    summary = stage.violet(*flags).json
    stage.inject("they were read", summary["records"] == count)
    stage.check("lost, doubled, corrupt are 0", {each: summary[each] for each in SOUND}, SOUND)
    stage.check("the value is TOO_LARGE, the others are read", raw.rejects(store, summary["run_id"]),
                {GOOD: "TOO_LARGE"})  # fmt: skip


def hostile_text(stage: Stage) -> None:
    """Control sequences, markup and formulas in records; every command shows them."""
    broker, data = stage.world.broker, stage.world.data
    esc = "".join(ESCAPES)
    records = [
        lines.plane("posture", {"posture": "[/red]"}), lines.scan(1), lines.plane("posture", {"posture": esc + "x"}),
        lines.scan(2), b'{"v":1,"kind":"scan" [/bold] oops', ('{"v":1, ' + esc).encode(),
        b"[link=file:///etc/passwd]click[/link]", lines.plane("gam[/i]ma", {"boost": 1.0}), lines.plane(esc, {}),
        lines.plane("posture", {"posture": "=1+2"}), lines.scan(3), lines.scan(4, dc_status=esc),
    ]  # fmt: skip
    topic = stage.world.filled(broker, records)
    summary = _soaked(stage, "hostile", topic, len(records))
    run = summary["run_id"]
    stage.inject("it was journaled", summary["rejects"] == 5)
    saved = ["sql", "--run", run, "--data", data]
    commands = [
        ["rejects", run, "--data", data], ["rejects", run, "--code", "MALFORMED", "--data", data],
        ["rejects", run, "--code", "PLANE_NAME", "--data", data], ["status", "--data", data],
        ["gate", run, "--data", data], ["verify", run, "--data", data],
        *(["explain", f"@{at}", "--run", run, "--data", data] for at in (1, 3, 4, 5, 8)),
        [*saved, "DESCRIBE decisions", "--format", "csv"],
    ]  # fmt: skip
    for command in commands:
        said = stage.violet(*command)
        shown = " ".join(map(str, command[:4])).replace(run, "RUN")
        stage.check(f"{shown} ends in no traceback", "Traceback" in said.err, wanted=False)
        stage.check(f"{shown} lets no control sequence through", "\x1b" in said.out + said.err, wanted=False)


def _of_kernel(stage: Stage, name: str, body: str) -> Said:
    """A soak with a function of somebody else's in the place of the lane acb."""
    folder = stage.folder / name
    folder.mkdir()
    (folder / "drilled_kernel.py").write_text(f"import os\n\n\ndef factory(params):\n{body}", "utf-8")
    config = stage.config('[acb]\nkernel = "drilled_kernel:factory"\n')
    env = {"PYTHONPATH": os.pathsep.join([str(folder), quiet_environment().get("PYTHONPATH", "")])}
    return stage.fresh("soak", *stage.topic_flags(name), "--config", config, env=env).ended()


def _kernel(name: str, body: str, check: Callable[[Stage, Said], None]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        _ = stage.world.calm
        check(stage, _of_kernel(stage, f"kernel-{name}", body))

    return act


_RAISES: Final = """
    def kernel(scan, planes):
        if scan.scan_id % 50 == 7:
            raise ValueError("drilled [/red]")
        return float("nan") if scan.scan_id % 50 == 9 else "1" if scan.scan_id % 50 == 11 else 1.0
    return kernel
"""
_EXITS: Final = """
    def kernel(scan, planes):
        if scan.scan_id == 77:
            raise SystemExit(0)
        return 1.0
    return kernel
"""
_CALM: Final = """
    return lambda scan, planes: 1.0
"""
_CHANGES: Final = """
    def kernel(scan, planes):
        print("x" * 1_000)
        scan.prices.clear()
        scan.scan_id, scan.stream, scan.ts_ms = 2**70, "zzz", 0
        if os.fork() == 0:
            return 5.0
        return 1.0
    return kernel
"""


def _raises(stage: Stage, said: Said) -> None:
    summary, store = said.json, stage.world.store
    codes = {row["code"]: int(row["n"]) for row in reject.by_code(store, summary["run_id"]) if row["lane"]}
    stage.inject("the kernel raised, gave NaN and gave text", len(codes) >= 2)
    stage.check("each is a reject of its lane", set(codes), {"LANE_ERROR", "LANE_NON_FINITE"})
    stage.check("lost, doubled, corrupt are 0", {each: summary[each] for each in SOUND}, SOUND)
    stage.check("every record has an outcome", summary["records"], COUNT)


def _exits(stage: Stage, said: Said) -> None:
    stage.inject("the kernel ended the process", "SystemExit" in said.words)
    stage.check("no verdict: exit code 3, nothing on standard output", (said.code, said.out), (3, ""))
    stage.check("it names the lane and the scan", "lane acb" in said.words and "scan 77" in said.words)
    run = runs.find(stage.world.store, name="kernel-exits")
    stage.check("the run is not ended", run and run.state != "ENDED")


def _changes(stage: Stage, said: Said) -> None:
    summary, store = said.json, stage.world.store
    stage.inject("it changed its scans, printed, and forked", "xxxx" in said.err)
    stage.check("rows bear the true streams", set(raw.streams(store, "kernel-changes")), {"ng7"})
    calm = _of_kernel(stage, "kernel-calm", _CALM)
    stage.check("counts, hash and state are those of a kernel that only answers", result(summary), result(calm.json))
    stage.check_rows(store, summary["run_id"])


def planes_gone(stage: Stage) -> None:
    """Scans come, and of the planes one alone."""
    records = [lines.plane("acb", {"boost": 1.3}), *(lines.scan(n) for n in range(150))]
    topic = stage.world.filled(stage.world.broker, records)
    summary = _soaked(stage, "blind", topic, len(records))
    stage.inject("no plane but acb came", summary["planes"] == 1)
    stage.check("the verdict is HOLD", summary["verdict"], "HOLD")
    for plane in ("meta", "mc", "ob", "esof"):
        stage.check(f"it names the plane {plane}", f"plane_{plane} HOLD" in summary["verdict_basis"])


def scanner_silent(stage: Stage) -> None:
    """The scanner is silent for two hours of event time."""
    records = [*lines.every_plane(), *(lines.scan(n) for n in [*range(120), *range(240, 360)])]
    topic = stage.world.filled(stage.world.broker, records)
    summary = _soaked(stage, "silent", topic, len(records))
    stage.inject("scans are two hours apart", summary["longest_silence_ms"] >= 120 * lines.MINUTE_MS)
    stage.check("time coverage is below 95 %", summary["time_coverage"] < 0.95)
    stage.check("the verdict is HOLD", summary["verdict"], "HOLD")


def repeats(stage: Stage) -> None:
    """Scans come twice, and out of order."""
    scans = [lines.scan(n) for n in range(200)]
    stage.dice.shuffle(scans)
    records = [*lines.every_plane(), *scans, *scans[:50]]
    topic = stage.world.filled(stage.world.broker, records)
    summary = _soaked(stage, "repeats", topic, len(records))
    found = raw.reasons(stage.world.store, "repeats")
    stage.inject("scans came out of order", found.get("OUT_OF_ORDER", 0) > 20)
    stage.check("each repeat is marked DUP_SCAN", found.get("DUP_SCAN"), 50)
    stage.check("each scan decides once", summary["decisions"], 200)
    again = _soaked(stage, "repeats-cut", topic, len(records), "--batch-size", stage.dice.randint(7, 30))
    stage.check("the hash is the same whatever the batches", again["content_hash"], summary["content_hash"])


SCENARIOS: Final = (
    Scenario("records-odd", f"{len(ODD)} kinds of bytes that are no record, or nearly one",
             "each is one reject with its code, or read as documented; good records are not touched", odd_records,
             quick=True),
    Scenario("headers-poisoned", "records with our own headers that say nonsense", "each is one reject", headers,
             quick=True),
    Scenario("records-large", "a value of 10 MB, a key of 1 MB, 10,000 headers",
             "the value is a reject TOO_LARGE; the others are read", large),
    Scenario("text-hostile", "control sequences, markup and formulas in records",
             "no command shows one raw, or ends in a traceback", hostile_text),
    Scenario("kernel-raises", "a foreign kernel raises, gives NaN, gives text", "each is a reject of its lane",
             _kernel("raises", _RAISES, _raises)),
    Scenario("kernel-exits", "a foreign kernel ends the process with 0", "no verdict: exit code 3, which names the "
             "lane and the scan", _kernel("exits", _EXITS, _exits), quick=True),
    Scenario("kernel-changes-its-scan", "a foreign kernel changes its scan, prints, forks",
             "rows bear the true values; the answer is ours alone", _kernel("changes", _CHANGES, _changes)),
    Scenario("planes-gone", "planes of BLUE's do not come", "HOLD, which names them", planes_gone),
    Scenario("scanner-silent", "the scanner is silent for two hours", "HOLD: time coverage", scanner_silent),
    Scenario("scans-repeated", "scans come twice and out of order", "each decides once; the same hash whatever the "
             "batches", repeats),
)  # fmt: skip
