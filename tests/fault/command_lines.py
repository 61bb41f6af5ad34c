"""Command lines at random, and what they meet: files of every kind and data directories in every state.

The commands and their flags are taken from click, so a new one joins by existing. `Field` runs one line as a process and
says what broke: a traceback, an exit code of no meaning, a refusal without words, a process that stays, a data directory
that a refusal changed, a file where none was asked for.
"""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from journal import directory
from journal.ledger.run import find, save
from journal.lock import soak_lock
from reactor.cli import main
from tests.integration import records
from tests.integration.soaking import (
    ROOT,
    Journal,
    Zygote,
    free_of,
    interrupted,
    listing,
    processes,
    soak,
    until,
)

INTERRUPTED = "violet: interrupted"  # by us, after lines of what it was doing
REACH_S = 0.5  # waited for a broker: none is there
SERVES = {"web", "serve", "lane run", "lane canary"}  # they end by a signal
FOREVER = {"--follow", "--watch", "--web"}
ASKED_AFTER_S = {True: 4.0, False: 40.0}  # by whether it ends by a signal alone
OBEYS_S = 20.0
GONE_S = 10.0
TOKEN = "LINE_OF"  # a variable that every child of a line inherits
LONG = "x" * 300

GOOD = {
    "data": ["ended", "stopped", "halted", "ended", "stopped", "fresh", "absent", "empty", "a b/ü\nn"],
    "scans": ["good.jsonl", "good.jsonl.zst"],
    "config": ["soak.toml", "map.toml"],
    "klines": ["bars.parquet", "bars.csv"],
    "trades": ["trades.csv"],
    "mapping": ["map.toml"],
    "map_file": ["map.toml"],
    "target": ["out.jsonl", "out.jsonl.zst", "out.csv", "new folder/out.jsonl"],
    "out": ["out.jsonl", "out.jsonl.zst"],
    "legs_out": ["legs.csv"],
    "set_aside": ["aside.jsonl"],
    "run_id": ["latest", "RUN", "violet"],
    "run": ["latest", "RUN"],
    "what": ["@0", "@17", "17", "1"],
    "at": ["@0", "17"],
    "from": ["earliest", "latest", "0", "2025-05-04T15:33Z"],
    "from_": ["-5m", "@0", "1", "2025-05-04T15:33Z"],
    "until": ["end", "10", "2025-05-04T15:33Z"],
    "since": ["2025-05-04T15:33Z"],
    "for": ["1s", "14d"],
    "speed": ["max", "60000x"],
    "keep_inputs": ["30d"],
    "name": ["violet", "other"],
    "profile": ["blue_8b", "v3_base9"],
    "taps": ["all", "acb,ob"],
    "query": ["SELECT 1", "SELECT count() FROM decisions WHERE run_id = {run:String}", "SHOW TABLES"],
    "saved": ["clamps", "reasons"],
    "where": ["value < 1"],
    "lanes": ["acb", "all"],
    "assignments": ["acb.enabled=false"],
    "param": ["a=b"],
    "code": ["MALFORMED"],
    "reason": ["why"],
    "resume_halted": ["mended"],
    "stream": ["ng7"],
    "topic": ["scans"],
    "bootstrap_servers": ["127.0.0.1:1"],
}  # fmt: skip
FILES = [
    "good.jsonl", "good.jsonl.zst", "good.jsonl.gz", "nothing.jsonl", "noise.jsonl", "cut.jsonl.zst", "noise.zst",
    "array.json", "bars.parquet", "bars.csv", "trades.csv", "soak.toml", "wrong.toml", "misspelt.toml", "noise.toml",
    "map.toml", "nowhere.toml", "to nothing", "circle", "absent.file", "a folder", "a folder/", "/dev/null", "/", ".", "..", "",
    "good.jsonl/below", "/proc/self/mem", f"{LONG}.jsonl", "a b ü\nn.jsonl", "[/x].jsonl", "-", "--", "$(x)", "~",
]  # fmt: skip
DIRECTORIES = [
    "absent", "not/there/yet", "empty", "fresh", "stopped", "ended", "halted", "older", "newer", "damaged", "no engine",
    "locked", "theirs", "good.jsonl", "to nothing", "circle", "/proc", "/dev/null", "/sys/kernel", "why?not", LONG, "a b/ü\nn",
    "[/x]", "ended/engine", "", "\udcff",
]  # fmt: skip
TEXTS = [
    "", " ", "0", "1", "-1", "17", "@", "@0", "@-1", "@17", "-5m", "5m", "-", "9" * 30, "9" * 5000, "1e9", "0x10", "1_000", "nan", "inf",
    "-inf", "0.5", "²", "٣", "max", "60x", "0x", "end", "latest", "earliest", "2025-05-04T15:33Z", "2025-05-04", "0001-01-01T00:00+14:00",
    "9999-12-31T23:59:59-14:00", "2025-13-45", "14d", "0s", "99999999999w", "violet", "RUN", "no-such-run", "a/b", "../x",
    "a b", "ünï-名", "a\nb", "\x1b[2J", "[/x]", "'", '"', "{run:String}", "; DROP TABLE x", "SELECT", "SELECT 1; SELECT 2",
    "SELECT * FROM decisions LIMIT 3", "DROP TABLE violet_runs", "SELECT * FROM file('/etc/passwd')", "1) OR (1", "a=b", "=",
    "acb.enabled=maybe", "acb.nope=1", "fanin.abs_max=-1", "acb", "acb,ob", "acb,nope", "all", "base,", "irp,dc", "127.0.0.1:1", "nohost",
    "127.0.0.1:99999", "h:1:2", "http://127.0.0.1:1", "https://127.0.0.1:1/?x=1", "table:x", "topic:x", "table:", "\udcff", LONG, "a\\b", "%s",
    "MALFORMED", "malformed",
]  # fmt: skip
NUMBERS = [0, 1, 2, 7, 50, 65_535, 65_536, -1, 10**6, 2**63, 10**30, "1.5", "", "x", "٣", "1e3"]


MAPPING = """
[[source]]
name = "s"
file = "{file}"
feeds = "scan"
stream = "ng7"
where = {{ kind = "scan" }}
[source.fields]
scan_id = "scan_id"
ts_ms = "ts_ms"
vel_div = "vel_div"
prices = "prices"
irp = "irp"
"""


def commands(group=main.violet, words=()):
    """Every command with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


def values(param):
    """Values of a parameter: mostly those that fit, else whatever."""
    name, kind = param.name, param.type
    pool = [*TEXTS]
    if isinstance(kind, click.Path) or name in ("trades", "legs"):
        pool = DIRECTORIES if name == "data" else FILES
    elif isinstance(kind, click.Choice):
        pool = [*kind.choices, "nope", ""]
    elif isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        pool = NUMBERS
    good = GOOD.get(name, pool[:2] if pool is FILES else pool[:8] if pool is not TEXTS else TEXTS)
    if isinstance(kind, click.types.IntParamType):
        good = [1, 50, 0]
    return st.one_of(*[st.sampled_from(good)] * 4, st.sampled_from(pool)).map(str)


@st.composite
def lines(draw):
    """A command line."""
    words, command = draw(st.sampled_from(LINES))
    line, some = [*words], min(3, 30 // len(command.params)) if command.params else 0
    for param in command.params:
        if isinstance(param, click.Argument):
            many = draw(st.integers(0, 2)) if param.nargs == -1 else int(param.required or draw(st.booleans()))
            line += [draw(values(param)) for _ in range(many)]
        elif draw(st.integers(0, 9)) < (9 if param.required or param.name in ("data", "scans") else some):
            spelling = draw(st.sampled_from([*param.opts, *param.secondary_opts]))
            line.append(spelling)
            if not param.is_flag and getattr(param, "_flag_needs_value", False) is False:
                line.append(draw(values(param)))
    if draw(st.integers(0, 19)) == 0:
        line.insert(
            draw(st.integers(1, len(line))), draw(st.sampled_from(["--nope", "extra", "-x", "--help", "--json=1"]))
        )
    return line


LINES = [*commands()]
LINES += 3 * [(words, command) for words, command in LINES if words in {("soak",), ("scan",), ("sequence",), ("sql",)}]


@dataclass(frozen=True)
class Fault:
    """What broke, and by which line."""

    what: str
    line: tuple[str, ...]
    code: int
    err: str


class Field:
    """A folder with everything that a line may name, and a process that runs lines in it."""

    def __init__(self, root):
        self._root, self._here, self._temporary = root, root / "here", root / "tmp"
        self._made, self._words = root / "made", root / "words"
        for folder in (self._here, self._made, self._words, self._temporary):
            folder.mkdir()
        self._files()
        self.run_id = self._directories()
        self._digests = {}
        self._locked = subprocess.Popen(
            [sys.executable, "-c", HOLD, soak_lock(self._made / "locked", "violet")], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self._locked.stdout.readline()
        for made in self._made.iterdir():
            self._put(made.name)
        self._zygote = Zygote(self._words)
        self._before = self._outside()

    def close(self):
        self._zygote.close()
        self._locked.kill()
        self._locked.wait()
        self._locked.stdin.close()
        self._locked.stdout.close()

    def _files(self):
        here = self._here
        good = records.write(here / "good.jsonl", records.plain(60))
        soaked = good.read_bytes()
        subprocess.run([sys.executable, "-c", PACK, good, here / "good.jsonl.zst"], check=True)
        (here / "good.jsonl.gz").write_bytes(gzip.compress(soaked))
        (here / "cut.jsonl.zst").write_bytes((here / "good.jsonl.zst").read_bytes()[:-20])
        noise = random.Random(7).randbytes(5_000)
        for name in ("noise.jsonl", "noise.zst", "noise.toml", "a b ü\nn.jsonl"):
            (here / name).write_bytes(noise)
        (here / "nothing.jsonl").touch()
        (here / "[").mkdir()
        (here / "[/x].jsonl").write_bytes(soaked)
        (here / "array.json").write_text(json.dumps([{"a": 1}, {"a": None}]))
        bars = {
            "symbol": ["BTCUSDT"] * 90, "open_time_ms": [1_746_000_000_000 + 60_000 * n for n in range(90)],
            **{name: [100.0 + n for n in range(90)] for name in ("open", "high", "low", "close", "volume")},
        }  # fmt: skip
        parquet.write_table(pa.table(bars), here / "bars.parquet")
        rows = "\n".join(",".join(map(str, row)) for row in zip(*bars.values(), strict=True))
        (here / "bars.csv").write_text(",".join(bars) + "\n" + rows + "\n")
        (here / "trades.csv").write_text("trade_id,asset\n1,BTCUSDT\n")
        (here / "soak.toml").write_text('[reactor]\nscans = "good.jsonl"\ndata = "stopped"\n')
        (here / "wrong.toml").write_text('{"reactor": {"scans": "good.jsonl"}}')
        (here / "misspelt.toml").write_text('[reactor]\nscan = "good.jsonl"\n')
        (here / "nowhere.toml").write_text('[journal]\nurl = "http://127.0.0.1:1"\n')
        (here / "map.toml").write_text(MAPPING.format(file="good.jsonl"))
        (here / "to nothing").symlink_to("nowhere")
        (here / "circle").symlink_to("circle")
        (here / "a folder").mkdir()
        (here / "a folder" / "notes").write_text("theirs")

    def _directories(self):
        """Data directories in every state; the run of them."""
        made, scans = self._made, self._here / "good.jsonl"
        ended = soak(made / "ended", scans=scans, name="violet")
        interrupted(made / "stopped", scans=scans, name="violet", batch_size=10)
        for name in ("halted", "older", "newer", "damaged", "no engine"):
            free_of(made / "ended")
            shutil.copytree(made / "ended", made / name, symlinks=True)
        _changed(
            made / "halted", lambda store: save(store, replace(find(store, name="violet"), state="HALTED", reason="x"))
        )
        _changed(made / "older", lambda store: store.command(FORGET))
        _changed(made / "newer", lambda store: store.command(AHEAD))
        (made / "older" / directory.MARKER).unlink()
        for part in (made / "damaged" / "engine").rglob("data.bin"):
            if part.stat().st_size > 100:
                os.truncate(part, 50)
        shutil.rmtree(made / "no engine" / "engine")
        shutil.copytree(made / "stopped", made / "locked", symlinks=True)
        directory.claim(made / "fresh")
        (made / "empty").mkdir()
        (made / "theirs" / "engine").mkdir(parents=True)
        (made / "theirs" / "engine" / "main.c").write_text("int main() {}")
        return ended.run_id

    def _put(self, name):
        """A data directory as it was made; the locked one is the very file that is held."""
        there, made = self._here / name, self._made / name
        if name == "locked":
            if not there.is_symlink():
                there.symlink_to(made)
            return
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(made, there, symlinks=True)

    def _outside(self):
        """What lies in the folder apart from data directories."""
        own = {made.name for made in self._made.iterdir()}
        return {path.name for path in self._here.iterdir()} - own, sorted(self._temporary.iterdir())

    def faults(self, line):
        """Run a line; what broke."""
        token = uuid.uuid4().hex
        line = [self.run_id if each == "RUN" else each for each in line]
        near = "\0".join([*line, "stopped"])  # which soak.toml names
        before = {made.name: _state(self._here / made.name) for made in self._made.iterdir() if made.name in near}
        environ = {TOKEN: token, "TMPDIR": str(self._temporary), "HOME": str(self._root)}
        process = self._zygote.spawn(*line, cwd=str(self._here), environ=environ, reach_s=REACH_S)
        faults, obeyed = [], _waited(process, line)
        code, out, err = (
            process.poll(),
            process.out.read_text(errors="replace"),
            process.err.read_text(errors="replace"),
        )
        if not obeyed:
            faults.append("did not end by Ctrl-C")
        if left := _left(token, spared=str(self._made / "locked")):
            faults.append(f"left processes: {left}")
        faults += [what for what, holds in _said(code, out, err, line).items() if holds]
        after = {name: _state(self._here / name) for name in before}
        changed = [name for name in before if before[name] != after[name]]
        if code == 3:
            faults += [f"changed {name}" for name in changed if self._differs(name, before[name], after[name])]
        now = self._outside()
        if now != self._before and (code == 3 or now[1]):
            faults.append(f"left files: {sorted(now[0] - self._before[0])} {now[1]}")
        if now[0] != self._before[0]:
            for name in now[0] - self._before[0]:
                _removed(self._here / name)
        for path in now[1]:
            _removed(path)
        for name in changed:
            self._put(name)
        for path in (process.out, process.err):
            path.unlink()
        return [Fault(what, tuple(line), code, err[-1500:]) for what in faults]

    def _differs(self, name, before, after):
        """Whether a directory is another: by its files, or where an engine merged, by its rows."""
        if before[0] != after[0] or not (self._here / name / "engine").is_dir():
            return True
        if name == "damaged":  # the engine itself sets aside a part that it cannot read
            return False
        if name not in self._digests:
            self._digests[name] = _rows(self._made / name, self._locked.pid)
        return _rows(self._here / name, self._locked.pid) != self._digests[name]


HOLD = "import sys; from pathlib import Path; from journal.lock import Lock; held = Lock.acquire(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
PACK = "import sys; from pathlib import Path; from reactor.log import archive; archive.packed\nwith open(sys.argv[2], 'wb') as file, archive.packed(file) as sink: sink.write(Path(sys.argv[1]).read_bytes())"
FORGET = "ALTER TABLE violet_migrations DELETE WHERE version = (SELECT max(version) FROM violet_migrations WHERE version < 1000000) SETTINGS mutations_sync = 2"
AHEAD = "INSERT INTO violet_migrations (version, name, checksum) VALUES (9999, '9999__runs__of_tomorrow.sql', 'x')"


def _changed(data, change):
    journal = Journal(data)
    try:
        change(journal.store)
    finally:
        journal.close()
    free_of(data)


def _state(data):
    """What a refusal must leave: the files that are not the engine's, and the engine's parts."""
    if not data.is_dir():
        return os.path.lexists(data), ()
    names, parts = set(), set()
    for path, (size, _) in listing(data).items():
        top = path.partition("/")[0]
        if top == "engine":
            if path.endswith(("checksums.txt", "data.bin")):
                parts.add((path, size))
        elif top not in ("locks", directory.MARKER, "sql.json", "writer.json") and not path.endswith(".log"):
            names.add((path, size))
    return names, parts


def _rows(data, spared):
    """Of each table: how many rows, and their sum as hashes. Claims are left out: like lock files, they are taken, then given back."""

    def wait():
        until(lambda: not processes(data.resolve()).keys() - {spared}, 60.0)

    wait()  # the engine of the line before may be on its way out
    journal = Journal(data)
    try:
        found = journal.rows(
            "SELECT name, if(engine LIKE 'Replacing%', 'FINAL', '') AS final FROM system.tables "
            "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'violet_claims'"
        )
        hashed = "SELECT count() AS n, sum(cityHash64(*)) AS h FROM {name} {final}"
        return {each["name"]: journal.rows(hashed.format(**each)) for each in found}
    finally:
        journal.close()
        wait()


def _waited(process, line):
    """Wait for the end, which some lines only come to by Ctrl-C; whether that ended it."""
    serves = " ".join(line[:2]) in SERVES or line[0] in SERVES or not FOREVER.isdisjoint(line)
    for patience_s, number in ((ASKED_AFTER_S[serves], signal.SIGINT), (OBEYS_S, signal.SIGKILL)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(patience_s)
            return True
        process.send_signal(number)
    process.communicate(10)
    return False


def _said(code, out, err, line):
    """What is wrong with the words, each with whether it is."""
    rest = [each for each in err.split("\n") if each]
    is_json = any(each.startswith('{"') for each in rest)
    return {
        f"exit code {code}": code not in range(4),
        "a traceback": "Traceback" in err or "Traceback" in out,
        "an ignored exception": "Exception ignored" in err,
        "a refusal without words": code == 3 and not rest and not ("sequence" in line and out),
        "a refusal of many lines": code == 3 and len(rest) > 4 and not is_json and rest[-1] != INTERRUPTED,
        "no line of ours": code == 3 and bool(rest) and not is_json and not rest[-1].startswith("violet: "),
    }


def _left(token, spared):
    """Processes of a line that are still there: pid -> command. The engine of a directory whose soak runs may stay."""
    deadline = time.monotonic() + GONE_S
    while left := _bearing(f"{TOKEN}={token}".encode()):
        orphans = {pid: command for pid, command in left.items() if spared not in command}
        if not orphans or time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return orphans
        time.sleep(0.05)
    return {}


def _bearing(text):
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
    return found


def _removed(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
