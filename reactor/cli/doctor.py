"""`violet doctor`: check this machine, the broker and the journal, and say what to do about what is wrong."""

import math
import platform
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from journal.judge.damage import require_whole
from journal.keep.migrate import pending
from journal.ledger.ledger import audit
from journal.ledger.run import ids
from journal.refusal import Refusal
from lanes import base
from reactor.cli.common import broker, data_option, has_journal, journal, json_list_option, show
from reactor.log.admin import reach
from reactor.log.connection import Connection
from reactor.log.darkness import darkness
from reactor.log.diagnosis import user
from reactor.log.tansu import Tansu
from reactor.run.provenance import versions
from reactor.run.source import BrokerSource


@click.command("doctor")
@data_option
@click.option("--bootstrap-servers", help="Also check this broker, or that of --config.")
@click.option("--topic", help="Also check this topic of that broker, or that of --config.")
@json_list_option
def command(data: Path, bootstrap_servers: str | None, topic: str | None, as_json: bool) -> None:
    """Check this machine, the embedded broker and the journal; and a broker of yours, where one is given.

    Exit code: 0 all is well, 1 something is not.

    \b
    violet doctor --data my-soak
    violet doctor --bootstrap-servers 127.0.0.1:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    known = click.get_current_context().obj
    topic = topic or (known.soak.topic if known is not None else None)
    connection = broker(bootstrap_servers)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", lambda: f"{platform.python_version()} on {platform.machine()}"),
        ("libraries", lambda: ", ".join(f"{k} {v}" for k, v in versions().items())),
        ("arithmetic", _arithmetic),
        ("disk", lambda: _disk(data)),
        ("embedded broker", _tansu),
        ("journal", lambda: _journal(data)),
    ]
    if connection.bootstrap_servers:
        checks.append(("broker", partial(_broker, connection)))
        if topic is not None:
            checks.append(("topic", partial(_topic, connection, topic)))
        checks.append(("darkness", lambda: f"no order code exists; {darkness(connection, topic).words}"))
    else:
        checks.append(("darkness", lambda: "no order code exists; not proved: no broker is named to ask for its ACLs"))
    rows = []
    for name, check in checks:
        try:
            rows.append({"check": name, "ok": True, "found": check()})
        except Refusal as refusal:
            rows.append({"check": name, "ok": False, "found": str(refusal)})
            if name == "broker":  # what would be asked of it would say the same
                break
    show(rows, as_json)
    raise SystemExit(0 if all(row["ok"] for row in rows) else 1)


def _arithmetic() -> str:
    """The compiled cubic gives the bits of this interpreter's own pow."""
    args = (-0.0337, -0.02, -0.05, 0.5, 8.0, 3.0)
    compiled, plain = base.base(*args), base.base.py_func(*args)
    if compiled != plain or not math.isclose(plain[1], 1.214264722222222, rel_tol=0.0):
        raise Refusal(
            f"compiled and plain base differ: {compiled} and {plain}; fix: report the libm and numba versions"
        )
    return "compiled and plain lanes give the same bits at the median scan"


def _disk(data: Path) -> str:
    usage = shutil.disk_usage(next(p for p in (data, *data.absolute().parents) if p.exists()))
    if not usage.total:
        raise Refusal(f"--data {data}: lies on no disk; fix: name another folder")
    share = usage.used / usage.total
    if share >= 0.85:
        raise Refusal(f"{share:.0%} full; fix: free some: from 85 % a soak is DEGRADED, from 92 % it halts")
    return f"{share:.0%} full, {usage.free / 2**30:.0f} GiB free"


def _tansu() -> str:
    with TemporaryDirectory() as folder, Tansu(Path(folder) / "broker.log") as broker:
        return f"starts ({broker.bootstrap})"


def _journal(data: Path) -> str:
    if not has_journal(data):
        return f"none yet in {data}"
    with journal(data) as store:
        due = pending(store)
        if not due:
            require_whole(store)
        for run_id in ids(store, at_rest=True):
            audit(store, run_id)
    if due:
        raise Refusal(f"{len(due)} scripts to apply; fix: `violet migrate --data {data}`")
    return "up to date, batches and rows agree"


def _broker(connection: Connection) -> str:
    cluster = reach(connection)
    return f"cluster {cluster.cluster_id or '?'} over {connection.security_protocol} as {user(connection)}"


def _topic(connection: Connection, topic: str) -> str:
    """The topic may be read: its ends, and a record where it has one."""
    with closing(BrokerSource(connection, topic, "violet-doctor")) as source:
        ends = source.ends()
        for partition, low in source.lows().items():
            if low < ends[partition]:
                next(source.range(partition, low, low + 1))
        return f"{topic}: {source.partitions} partition(s), up to offset {max(ends.values())}, may be read"
