"""The engine's process: chdb at DIR/engine, served over HTTP. The only module that imports chdb.

python -m journal.engine.process --data DIR [--until-unused]
It takes DIR/locks/engine.lock first. With --until-unused it ends once nobody shares DIR/locks/users.lock and no soak
of the directory runs. See docs/design/records.md.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from journal import child
from journal.engine import address
from journal.engine.inventory import Inventory, require_links
from journal.engine.reader import QueryError, quoted
from journal.engine.server import Answer, Server
from journal.lock import Lock, engine_lock, soaks, users_lock
from journal.refusal import Refusal, of_machine

# Before chdb loads. Times are UTC wherever the machine stands; and chdb takes users and settings from a config.xml in
# the folder that it is started in.
os.environ["TZ"] = "UTC"
time.tzset()
HERE: Final = Path.cwd()
os.chdir("/")

from chdb import ChdbError  # noqa: E402
from chdb.state.sqlitelike import Connection, connect  # noqa: E402

LOCK_WAIT_S: Final = 10.0
DRAIN_S: Final = 5.0
WATCH_S: Final = 0.25
WORDS_S: Final = 1.0  # between two looks at how long the log is
READER_MEMORY: Final = 1 << 30  # bytes a reader's query may take, or an eighth of the machine


class Embedded:
    """The engine. One connection stays open for its life; every session has its own, which costs 0.3 ms."""

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_dir():
            raise Refusal(f"{path} must be the engine's folder, but is a file; fix: move it away")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_links(path)
        self._path = str(path)
        try:
            self._kept = connect(self._path)
        except RuntimeError as error:
            raise Refusal(
                f"the engine cannot open {path} ({' '.join(str(error).split())}); fix: move DIR/backups/NAME here, or "
                "give another --data"
            ) from None
        machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.memory_bytes = min(READER_MEMORY, machine_bytes // 8)

    @contextmanager
    def session(self, settings: Mapping[str, str], database: str = "") -> Generator["EmbeddedSession"]:
        """A connection in which these settings hold; nothing of it stays."""
        with closing(connect(self._path)) as connection:
            session = EmbeddedSession(connection)
            if database:
                session.run(f"USE {database}", "TabSeparated", {})
            if settings:
                pairs = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
                session.run(f"SET {pairs}", "TabSeparated", {})
            yield session

    def kill(self, mark: str) -> None:
        """End the query whose log_comment begins with a mark, which is a word; without one nothing happens."""
        with self.session({}) as session:
            session.run(
                f"KILL QUERY WHERE startsWith(Settings['log_comment'], {quoted(mark)}) ASYNC", "TabSeparated", {}
            )


class EmbeddedSession:
    """One connection, used by one thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str, form: str, params: Mapping[str, str]) -> Answer:
        """Run one statement and hold its whole result."""
        try:
            result: Any = self._connection.query(sql, form, params=dict(params))
        except (ChdbError, RuntimeError) as error:
            raise _query_error(error) from None
        body = bytes(result.bytes() or b"")
        return Answer(body, result.rows_read(), result.bytes_read(), int(result.elapsed() * 1e9))

    def stream(self, sql: str, params: Mapping[str, str]) -> Generator[bytes]:
        """Run a SELECT ... FORMAT Native block by block."""
        blocks = None
        try:
            blocks = self._connection.send_query(sql, "Native", params=dict(params))
            for block in blocks:
                yield bytes(block.bytes())
        except (ChdbError, RuntimeError) as error:
            raise _query_error(error) from None
        finally:
            if blocks is not None:
                blocks.close()  # type: ignore[no-untyped-call]


def _query_error(error: Exception) -> QueryError:
    text = str(error)
    text = text[max(0, text.find("Code: ")) :].strip()
    code = text.removeprefix("Code: ").partition(".")[0]
    if code.isdigit():
        return QueryError(int(code), text)
    return QueryError.of(1001, "STD_EXCEPTION", text or "the engine gave no reason")


def _listen(data: Path, engine: Embedded) -> Server:
    """Listen on the port that the directory had, or another where a stranger has taken it."""
    known = address.read(data, address.READER)
    try:
        server = Server(known.port if known else 0, engine)
    except OSError as error:
        server = Server(0, engine)
        print(f"port {known.port if known else 0} is taken ({error}); now at {server.url}", file=sys.stderr, flush=True)
    for user in (address.WRITER, address.READER):
        server.tokens[user] = address.write(data, user, server.url).token
    return server


def _watch(data: Path, stop: threading.Event) -> None:
    """End once nobody uses it and no soak of the directory runs, or nobody can tell."""
    try:
        while soaks(data) or not _unused(data):
            time.sleep(WATCH_S)
    finally:
        stop.set()


def _unused(data: Path) -> bool:
    """Whether nobody uses the engine; from then on until this process is gone nobody begins to."""
    if (alone := Lock.alone(users_lock(data))) is None:
        return False
    if not soaks(data):
        return True
    alone.release()
    return False


def serve(data: Path, *, until_unused: bool) -> None:
    """Serve the directory's engine until a signal, or until nobody uses it."""
    os.umask(0o077)
    with Lock.acquire(engine_lock(data), LOCK_WAIT_S):
        stop = threading.Event()
        engine = Embedded(data / "engine")
        inventory = Inventory(data / "engine", engine.session)
        inventory.check()
        server = _listen(data, engine)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if until_unused:
            threading.Thread(target=_watch, args=(data, stop), daemon=True).start()
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        threading.Thread(target=inventory.watch, args=(stop,), daemon=True).start()
        print(f"serving {data} at {server.url}, pid {os.getpid()}", file=sys.stderr, flush=True)
        while not stop.wait(WORDS_S):
            child.bound(data / "engine.log")
        server.finish(DRAIN_S)
        inventory.keep()
        sys.stderr.flush()
        os._exit(0)  # readers' queries may still run: closing under them is not safe, and every insert is on disk


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="journal.engine.process")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--until-unused", action="store_true")
    arguments = parser.parse_args()
    try:
        serve((HERE / arguments.data).resolve(), until_unused=arguments.until_unused)
    except (Refusal, OSError) as error:
        refusal = of_machine(error) if isinstance(error, OSError) else error
        if refusal is None:
            raise
        print(f"refused: {refusal}", file=sys.stderr, flush=True)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
