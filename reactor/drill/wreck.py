"""Damage to a journal at rest: parts cut, gone, flipped; links dropped; rows, digests, tokens not as they were.

See docs/design/exactly-once.md.
"""

import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from journal.judge import raw
from journal.keep import harm
from journal.ledger import run as runs
from reactor.drill.scenario import Scenario
from reactor.drill.stage import Stage, result

NAME: Final = "violet"
Damage = Callable[[Path], None]


def parts_of(data: Path, table: str) -> list[Path]:
    """Folders of a table's parts in a directory whose engine does not run."""
    (folder,) = (each.resolve() for each in (data / "engine/data/default").iterdir() if each.name == f"violet_{table}")
    return [path.parent for path in folder.glob("*/checksums.txt")]


def cut(part: Path) -> None:
    """Take the last bytes of a part's data."""
    (part / "data.bin").write_bytes((part / "data.bin").read_bytes()[:-10])


def flip(part: Path) -> None:
    """Turn one bit in the middle of a part's data."""
    data = bytearray((part / "data.bin").read_bytes())
    data[len(data) // 2] ^= 0x40
    (part / "data.bin").write_bytes(data)


def _flags(stage: Stage, data: Path) -> list[object]:
    return ["soak", *stage.topic_flags(NAME, data)]


def _copy(stage: Stage) -> Path:
    """A directory of the scenario's own whose run was stopped after 300 records, and that nothing runs on."""
    kept, data = stage.world.root / "stopped", stage.folder / "data"
    _ = stage.world.calm
    if not kept.exists():
        flags = [*_flags(stage, kept), "--batch-size", 100]
        left = stage.start(*flags, seam="after_completion", at=3, signal="SIGINT").ended()
        stage.check("the run before is STOPPED", left.code, 2)
    shutil.copytree(kept, data, symlinks=True)
    return data


def _wrecked(tables: Sequence[str], damage: Damage) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """Every command tells, no soak goes on; what the log gives is put back."""
        data = _copy(stage)
        found = [part for table in tables for part in parts_of(data, table)]
        for part in found:
            damage(part)
        stage.inject(f"{len(found)} parts were damaged", found)
        asked = stage.violet("runs", "--data", data)
        stage.check("a question says that the journal is damaged", "journal is damaged" in asked.words)
        for more in ([], ["--new"]):
            said = stage.violet(*_flags(stage, data), *more)
            stage.check(f"a soak is refused {more}", (said.code, "damaged" in said.words), (3, True))
        verified = stage.violet("verify", "--data", data)
        stage.check("verify is no PASS", verified.code in (1, 3))
        if "runs" not in tables:
            _check_healed(stage, data)

    return act


def bit_flipped(stage: Stage) -> None:
    """The engine sees it where it reads the block, and no sooner."""
    data = _copy(stage)
    found = parts_of(data, "evaluations")
    for part in found:
        flip(part)
    stage.inject(f"a bit of {len(found)} parts was flipped", found)
    for command in (["verify", "--data", data], ["gate", "--data", data], _flags(stage, data)):
        said = stage.violet(*command)
        told = "CHECKSUM_DOESNT_MATCH" in said.words
        stage.check(f"{command[0]} gives no verdict and says why", (said.code, told, said.out), (3, True, ""))
    _check_healed(stage, data)


def _check_healed(stage: Stage, data: Path) -> None:
    """`violet heal` puts back what the log gives, and the run comes out as the calm one."""
    broker = stage.world.broker.bootstrap
    healed = stage.violet("heal", "--data", data, "--bootstrap-servers", broker, "--json")
    stage.check("heal puts it back", (healed.code, healed.json["whole"]), (0, True))
    last = stage.violet(*_flags(stage, data))
    stage.check("counts, hash and state are the calm run's", result(last.json), stage.world.calm.result)
    stage.check_verify(data, "--bootstrap-servers", broker)


def links_dropped(stage: Stage) -> None:
    """A copy of the directory by a tool that drops links."""
    data = _copy(stage)
    link = data / "engine/metadata/default"
    stage.inject("a link is gone", link.is_symlink())
    link.unlink()
    for command in (["status"], _flags(stage, data)):
        more = ["--data", data] if command == ["status"] else []
        said = stage.violet(*command, *more)
        stage.check(f"{command[0]} is refused", (said.code, "without its links" in said.words), (3, True))
    stage.check("no empty journal was begun", link.exists(), wanted=False)


def digest_forged(stage: Stage) -> None:
    """The digest of the intent in doubt is another one."""
    data = stage.folder / "data"
    _ = stage.world.calm
    flags = [*_flags(stage, data), "--batch-size", 50]
    killed = stage.start(*flags, seam="after_intent", at=2).ended()
    with stage.journal(data) as store:
        run = runs.pick(store, None)
        harm.forge_digest(store, run.run_id, 50)
        there = raw.outcomes(store, run.run_id)
    stage.inject("the intent in doubt bears another digest", killed.code == -signal.SIGKILL)
    said = stage.violet(*flags)
    stage.check("the resume is refused, HALTED", (said.code, "does not come out the same" in said.words), (3, True))
    with stage.journal(data) as store:
        stage.check("the run is HALTED", runs.pick(store, None).state, "HALTED")
        stage.check("nothing was journaled", raw.outcomes(store, run.run_id), there)


def row_deleted(stage: Stage) -> None:
    """A decision is deleted."""
    data = _copy(stage)
    with stage.journal(data) as store:
        at = harm.delete_decision(store, runs.pick(store, None).run_id)
    stage.inject("a decision is gone", at >= 0)
    said = stage.violet(*_flags(stage, data))
    stage.check("the resume is refused", (said.code, "batches count" in said.words), (3, True))
    report = stage.violet("verify", "--data", data, "--json")
    stage.check("verify is FAIL: one lost, one batch corrupt",
                (report.code, report.json["lost"], report.json["corrupt"]), (1, 1, 1))  # fmt: skip


def tokens_forgotten(stage: Stage) -> None:
    """ClickHouse has forgotten the tokens when the batch in doubt is inserted again."""
    data = stage.folder / "data"
    _ = stage.world.calm
    flags = [*_flags(stage, data), "--batch-size", 90]
    killed = stage.start(*flags, seam="before_completion", at=2).ended()
    with stage.journal(data) as store:
        harm.forget_tokens(store)
    stage.inject("the tokens are gone, and a batch is in doubt", killed.code == -signal.SIGKILL)
    said = stage.violet(*flags)
    with stage.journal(data) as store:
        stage.check_whole(said, store)


HEALED: Final = "every command says so, no soak goes on; `violet heal` puts it back; the hash is the calm run's"
OUTCOMES: Final = ("decisions", "evaluations", "planes", "rejects")
SCENARIOS: Final = (
    Scenario("part-cut", "files of an outcome's parts are cut", HEALED, _wrecked(["decisions"], cut), quick=True),
    Scenario("bit-flipped", "one bit of each part of evaluations is flipped", "no command that reads it gives a "
             "verdict; `violet heal` puts it back; the hash is the calm run's", bit_flipped),
    Scenario("batches-gone", "all parts of the batches are gone", HEALED, _wrecked(["batches"], shutil.rmtree)),
    Scenario("all-outcomes-gone", "all parts of outcomes and batches are gone", HEALED,
             _wrecked([*OUTCOMES, "batches"], shutil.rmtree)),
    Scenario("runs-gone", "the parts of the runs are gone", "every command says so; no soak goes on or begins another "
             "run", _wrecked(["runs"], shutil.rmtree), quick=True),
    Scenario("links-dropped", "the directory is copied without its links", "refused, where the engine would begin an "
             "empty journal", links_dropped),
    Scenario("digest-forged", "a batch in doubt comes out otherwise than its intent says", "HALTED; nothing is "
             "journaled", digest_forged),
    Scenario("row-deleted", "a row is deleted", "a resume is refused; verify is FAIL and names the batch", row_deleted),
    Scenario("tokens-forgotten", "ClickHouse has forgotten the tokens when a batch in doubt is inserted again",
             "one row of each stays; the hash is the calm run's", tokens_forgotten),
)  # fmt: skip
