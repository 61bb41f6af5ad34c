"""A drill: scenarios one after the other, each in a folder of its own, and what came of them.

See docs/design/faults.md.
"""

import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from journal.refusal import Refusal
from reactor.drill.broker import NotAtHand, find_jars
from reactor.drill.scenario import Scenario
from reactor.drill.stage import Stage, World

PASS: Final = "PASS"  # noqa: S105 - a verdict
FAIL: Final = "FAIL"
HOLD: Final = "HOLD"
EXIT: Final = {PASS: 0, FAIL: 1, HOLD: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a scenario.

    Attributes:
        name: of the scenario.
        injected: whether the fault was seen to happen.
        held: whether all that must hold did; None where it could not be run.
        checked: what was looked at.
        broken: of that what did not hold, with what was there instead.
        not_run: why it could not be run; empty where it was.
        seconds: how long it took.
    """

    name: str
    injected: bool = False
    held: bool | None = None
    checked: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    not_run: str = ""
    seconds: float = field(default=0.0, compare=False)


def verdict(findings: Iterable[Finding]) -> str:
    """FAIL if one did not hold, HOLD if one could not be run or there is none, else PASS."""
    held = [each.held for each in findings]
    return FAIL if False in held else PASS if held and all(held) else HOLD


def drill(
    scenarios: Sequence[Scenario], seed: int, *, jars: Path | None = None, keep: Path | None = None,
    begin: Callable[[Scenario], None] = lambda scenario: None, end: Callable[[Finding], None] = lambda finding: None,
) -> list[Finding]:  # fmt: skip
    """Run scenarios one after the other.

    Args:
        scenarios: what to run.
        seed: of all that is random; each scenario has its own share of it, whichever others run.
        jars: folder of Apache Kafka's jars, or of its download.
        keep: folder to work in, which stays; absent or empty. A temporary one, if it is not given.
        begin: called before each.
        end: called with what came of each.

    Raises:
        Refusal: the folder is not empty, or has no Kafka in it.
    """
    if jars is not None:
        with suppress(NotAtHand):
            find_jars(jars)
    findings = []
    with _scratch(keep) as root, closing(World(root, jars)) as world:
        for number, scenario in enumerate(scenarios):
            begin(scenario)
            findings.append(run(scenario, world, root / f"{number:02}-{scenario.name}", seed))
            end(findings[-1])
    return findings


def run(scenario: Scenario, world: World, folder: Path, seed: int) -> Finding:
    """One scenario. What it raises itself is a check that did not hold; what is not at hand is no failure."""
    folder.mkdir()
    began = time.monotonic()
    stage = Stage(world, folder, seed ^ zlib.crc32(scenario.name.encode()))
    not_run = ""
    try:
        scenario.act(stage)
    except NotAtHand as reason:
        not_run = str(reason)
    except Exception as error:  # noqa: BLE001 - whatever broke in it, the scenario did not hold
        stage.check("the scenario comes to its end", f"{type(error).__name__}: {error}")
    finally:
        stage.close()
    seconds = time.monotonic() - began
    if not_run:
        return Finding(scenario.name, not_run=not_run, seconds=seconds)
    injected = bool(stage.injections) and all(happened for _, happened in stage.injections)
    broken = [f"was not injected: {what}" for what, happened in stage.injections if not happened]
    broken += ["was not injected"] * (not stage.injections) + stage.broken
    held = injected and bool(stage.checked) and not broken
    return Finding(scenario.name, injected, held, tuple(stage.checked), tuple(broken), "", seconds)


@contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    """A folder to work in: nobody's, so that no journal of the user's is touched."""
    if keep is None:
        root = Path(tempfile.mkdtemp(prefix="violet-drill-"))
        try:
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return
    if os.path.lexists(keep) and (not keep.is_dir() or any(keep.iterdir())):
        raise Refusal(f"--keep {keep} is there and not empty; fix: name a new folder")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()
