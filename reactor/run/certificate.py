"""Certificate: on how many points of the universe which forms of the arithmetic gave the same bits.

First every pair of edges, then the draws, shared out among workers, then SQL on a stated part of them, then the search.
A point is a function of its seed, sums do not depend on their order, and nothing of the certificate on time or workers:
the same code, machine and question give the same certificate. See docs/design/universe.md.
"""

import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from journal import child
from journal.engine.owner import running
from journal.judge.gate import FAIL, HOLD, PASS
from journal.keep.migrate import migrate
from journal.refusal import Refusal
from journal.store import connect
from lanes.fingerprint import math_fingerprint
from lanes.universe import BLOCK, drawn, edges, points, profiles, spans, turns
from reactor.run import adversary, surface
from reactor.run.provenance import code_hash, versions, wheel
from reactor.run.surface import Surface, Tally, look

_DONE: Final = b"null\n"  # a worker's last line
SQL_EVERY: Final = 256  # of so many blocks the first few go through SQL: one turn of every profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """What is asked: how many draws, from which seed on, by how many processes, and against which foreign kernel."""

    points: int
    seed: int
    workers: int = 1
    against: str = ""

    @property
    def surfaces(self) -> dict[str, Surface]:
        """Those that are compared with the columns on every point."""
        foreign = {self.against: surface.against(self.against)[0]} if self.against else {}
        return {"scalar": surface.scalar, "python": surface.python, **foreign}


def certify(asked: Universe, on_points: Callable[[int, int], None] = lambda done, differing: None) -> dict[str, Any]:
    """The certificate. Its verdict is PASS where no bit differs, else FAIL; that of BLUE's line HOLD without a kernel.

    Args:
        asked: the question.
        on_points: called with the points looked at and how many of them differ.

    Raises:
        Refusal: a foreign kernel cannot be loaded, or a worker died.
    """
    parts: dict[str, Tally] = {"edges": Tally(), "draws": Tally(), "sql": Tally(), "search": Tally()}
    closest: dict[str, Any] = {}

    def count(part: str, found: Tally) -> None:
        parts[part].add(found)
        differing = sum(sum(each.differing.values()) for each in parts.values())
        on_points(sum(each.points for each in parts.values()), differing)

    with tempfile.TemporaryDirectory(prefix="violet-universe-") as folder:
        place, known = Path(folder), profiles()
        with running(place / "journal") as address:
            store = connect(address)
            migrate(store, lambda name: None)
            in_sql: dict[str, Surface] = {"sql": surface.sql(store)}
            for name, profile in known.items():
                inputs, every = edges(profile, asked.seed), {**asked.surfaces, **in_sql}
                count("edges", look(inputs, profile, every, f"edges of {name}: pair {{}}"))
            for found in _draw(asked, range(asked.seed, asked.seed + asked.points), in_sql, SQL_EVERY):
                count("sql", found)
        for found in _draws(asked, place):
            count("draws", found)
    first = asked.seed + asked.points
    for name, profile in known.items():
        found, closest[name] = adversary.search(profile, asked.surfaces, first, name)
        count("search", found)
        first += found.points
    return _made(asked, parts, closest)


def _made(asked: Universe, parts: Mapping[str, Tally], closest: Mapping[str, Any]) -> dict[str, Any]:
    total = Tally()
    for part in parts.values():
        total.add(part)
    names = ["columns", *total.compared]
    first = [msgspec.to_builtins(each) for part in parts.values() for each in part.first][: surface.NAMED]
    body = {
        "kind": "violet-universe",
        "v": 1,
        "verdict": FAIL if any(total.differing.values()) else PASS,
        "blue": _blue(asked, total),
        "base_seed": asked.seed,
        "points": {name: parts[name].points for name in ("edges", "draws", "search")},
        "compared_with_columns": total.compared,
        "differing": total.differing,
        "first_differing": first,
        "surfaces": names,
        "closest_ulp": {name: adversary.aims(found) for name, found in closest.items()},
        "points_hash": {name: f"{parts[name].points_hash:016x}" for name in ("edges", "draws", "search")},
        "outcome_hash": {name: f"{parts[name].outcome_hash:016x}" for name in ("edges", "draws", "search")},
        "profiles": {name: profile.hash for name, profile in profiles().items()},
        "against": {asked.against: surface.against(asked.against)[1]} if asked.against else {},
        "code_hash": code_hash(),
        "wheel": wheel(),
        "math_fingerprint": math_fingerprint(),
        "versions": versions(),
    }
    return {**body, "hash": hashlib.sha256(canonical(body)).hexdigest()}


def _blue(asked: Universe, total: Tally) -> dict[str, str]:
    if not asked.against:
        return {"verdict": HOLD, "why": "no kernel of BLUE's was given: --against package.module:factory"}
    same = not total.differing[asked.against]
    on = f"{asked.against} on {total.compared[asked.against]} points"
    why = f"the bits of {on}; whether that is BLUE's kernel, it does not say"
    return {"verdict": PASS if same else FAIL, "why": why}


def canonical(document: Mapping[str, Any]) -> bytes:
    """A document as bytes that are the same for the same content."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _draw(asked: Universe, seeds: range, surfaces: Mapping[str, Surface], every: int = 1) -> Iterator[Tally]:
    """Look at draws, block by block."""
    known = turns()
    for number, some in spans(seeds.start, len(seeds), len(known)):
        # Which blocks are looked at is a matter of the seed, and the profiles take turns in them too.
        if (some.start - asked.seed) // BLOCK % every < len(known):
            name, profile = known[number]
            yield look(points(drawn(some), profile), profile, surfaces, f"{name}, seed {some.start} + {{}}")


def _draws(asked: Universe, place: Path) -> Iterator[Tally]:
    """All draws: in this process, or shared out in stretches of whole blocks."""
    end = asked.seed + asked.points
    if asked.workers == 1:
        yield from _draw(asked, range(asked.seed, end), asked.surfaces)
        return
    step = -(-asked.points // (asked.workers * BLOCK)) * BLOCK
    cuts = [(at, min(at + step, end)) for at in range(asked.seed, end, step)]
    told: SimpleQueue[bytes | child.Child] = SimpleQueue()
    workers: list[child.Child] = []
    readers: list[threading.Thread] = []
    try:
        for number, (first, stop) in enumerate(cuts):
            question = json.dumps([asked.seed, first, stop, asked.against])
            workers.append(child.module(__name__, question, words=place / f"worker-{number}.log", piped=True))
        readers = [threading.Thread(target=_hear, args=(worker, told), daemon=True) for worker in workers]
        for reader in readers:
            reader.start()
        left = len(workers)
        while left:
            said = told.get()
            if isinstance(said, child.Child):
                last = said.failure().splitlines()[-1]
                raise Refusal(f"a worker died: {last}; fix: ask again with --workers 1")
            left -= said == _DONE
            if said != _DONE:
                yield msgspec.json.decode(said, type=Tally)
    finally:
        for worker in workers:
            worker.kill()
        for reader, worker in zip(readers, workers, strict=False):
            reader.join()
            for pipe in worker.pipes:
                pipe.close()


def _hear(worker: child.Child, told: "SimpleQueue[bytes | child.Child]") -> None:
    """Pass its lines on; itself where they end without its last one."""
    line = b""
    for line in worker.pipes[1]:
        told.put(line)
    if line != _DONE:
        told.put(worker)


def _work(question: str) -> None:
    """A worker: a line of JSON a block. What a foreign kernel prints goes elsewhere."""
    seed, first, stop, against = json.loads(question)
    with os.fdopen(os.dup(1), "wb") as told:
        os.dup2(2, 1)
        asked = Universe(points=stop - first, seed=seed, against=against)
        for found in _draw(asked, range(first, stop), asked.surfaces):
            told.write(msgspec.json.encode(found) + b"\n")
            told.flush()
        told.write(_DONE)


if __name__ == "__main__":
    _work(sys.argv[1])
