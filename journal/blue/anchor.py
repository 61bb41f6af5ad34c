"""Anchor: contracts are made from what a journal knows of a run and of BLUE, and kept in it once and for all.

See docs/design/blue.md.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from journal.blue.contract import (
    Allowed,
    Blue,
    Code,
    Contract,
    Floors,
    Import,
    Lineage,
    Log,
    Margins,
    Pairing,
    Params,
    Range,
    Runtime,
    Said,
    Window,
    differences,
    following,
    read,
)
from journal.ledger.run import Run, Segment, now, segments
from journal.refusal import Refusal
from journal.store import Store

LABEL = Literal["REAL", "STAND-IN"]
SAID: Final = ("version", "code_hash", "config_hash", "math_fingerprint")
_IDENTITY: Final = ("kind", "cluster", "topic", "topic_id", "sha256", "lines", "replay_of")
INSIDE: Final = "ts_ms >= {from:Int64} AND ts_ms < {to:Int64}"
TRADED: Final = "label = {label:String} AND entry_ts_ms >= {from:Int64} AND entry_ts_ms < {to:Int64}"
SCANS: Final = "(SELECT {} FROM violet_decisions {} UNION ALL SELECT {} FROM violet_evaluations {})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What people choose of a contract. universe: None for the assets that the run decided on."""

    universe: tuple[str, ...] | None
    pairing: Pairing
    margins: Margins
    alpha: float
    floors: Floors
    allowed: tuple[Allowed, ...]


def made(store: Store, run: Run, label: LABEL, window: Window | None, terms: Terms, wheel: str) -> Contract:
    """A contract over a run, whose lineage is not known yet.

    Args:
        store: the journal.
        run: the run.
        label: whose trades.
        window: None for all scans that the run journaled so far.
        terms: what people choose.
        wheel: fingerprint of the installed product.

    Raises:
        Refusal: the run journaled nothing yet, and nobody says which window or universe.
    """
    known = seen(store, run.run_id)
    if window is None:
        if known is None:
            raise Refusal(f"run {run.run_id} journaled no scan yet; fix: say the window with --from and --to")
        window = Window(from_ms=known[0], to_ms=known[1] + 1)
    is_over = known is not None and (run.state in ("ENDED", "HALTED") or known[1] + 1 >= window.to_ms)
    found = ranges(store, run.run_id, window) if is_over else None
    segment = _segment(store, run)
    return Contract(
        format="violet-contract/1",
        run_id=run.run_id,
        code=Code(version=run.versions.get("violet-reactor", ""), code_hash=segment.code_hash, wheel=wheel),
        math_fingerprint=segment.math_fingerprint,
        log=Log(
            identity=identity(run), partitions=max(1, len(run.start)), ranges=found,
            chain=chain(store, run.run_id, found) if found is not None else None,
        ),
        blue=Blue(label=label, imports=imports(store, label, window) or None, said=said(store, label, window)),
        window=window,
        universe=terms.universe or _universe(store, run.run_id),
        params=Params(profile=segment.profile, hash=segment.params_hash, values=json.loads(segment.params)),
        kernels=dict(segment.kernels),
        runtime=runtime(run),
        pairing=terms.pairing, margins=terms.margins, alpha=terms.alpha, floors=terms.floors, allowed=terms.allowed,
        lineage=Lineage(follows=None, changed=()),
    )  # fmt: skip


def identity(run: Run) -> dict[str, str | int]:
    """Which log a run reads, as its manifest says."""
    return {name: run.source[name] for name in _IDENTITY if run.source.get(name) not in (None, "")}


def runtime(run: Run) -> Runtime:
    """What of a run beside its params can change an outcome."""
    return Runtime(warm=run.warm, absent=run.absent, standins=tuple(run.standins), versions=dict(run.versions))


def ranges(store: Store, run_id: str, window: Window) -> tuple[Range, ...]:
    """The offsets of each partition between the first and the last scan of a window."""
    inside = f"WHERE run_id = {{run:String}} AND {INSIDE}"
    rows = store.rows(
        "SELECT partition, min(log_offset) AS first, max(log_offset) AS last FROM "
        f"{SCANS.format('partition, log_offset', inside, 'partition, log_offset', inside)} "
        "GROUP BY partition ORDER BY partition",
        within(run_id, window),
    )
    return tuple(Range(**row) for row in rows)


def chain(store: Store, run_id: str, over: tuple[Range, ...]) -> str:
    """Hash chain over the completed batches of some offsets: each link hashes the one before it."""
    link = ""
    for each in over:
        rows = store.rows(
            "SELECT topic, partition, first_offset, last_offset, decisions, evaluations, planes, rejects, "
            "decisions_hash, evaluations_hash, planes_hash, rejects_hash FROM batches WHERE run_id = {run:String} "
            "AND partition = {p:UInt32} AND last_offset >= {first:Int64} AND first_offset <= {last:Int64} "
            "ORDER BY first_offset",
            {"run": run_id, "p": each.partition, "first": each.first, "last": each.last},
        )
        for row in rows:
            link = hashlib.sha256("|".join([link, *map(str, row.values())]).encode()).hexdigest()
    return link


def imports(store: Store, label: str, window: Window) -> tuple[Import, ...]:
    """The imports that have rows of a window, with the hash of what these hold."""
    rows = store.rows(
        "SELECT import_id, count() AS rows, "
        "lower(hex(SHA256(arrayStringConcat(arraySort(groupArray(content_hash)), ' ')))) AS content_hash "
        f"FROM blue_cleaning WHERE {TRADED} GROUP BY import_id ORDER BY import_id",
        traded(label, window),
    )
    return tuple(Import(**row) for row in rows)


def said(store: Store, label: str, window: Window) -> Said | None:
    """What BLUE said of itself at its first trade of a window; None where there is none."""
    rows = store.rows(
        f"SELECT {', '.join(SAID)} FROM blue_trades WHERE {TRADED} ORDER BY entry_ts_ms, trade_id LIMIT 1",
        traded(label, window),
    )
    return Said(**rows[0]) if rows else None


def trades(store: Store, label: str, window: Window) -> list[dict[str, Any]]:
    """BLUE's trades of a window, rows of `blue_trades` in the order of their entries."""
    sql = f"SELECT * FROM blue_trades WHERE {TRADED} ORDER BY entry_ts_ms, trade_id"
    return store.rows(sql, traded(label, window))


def within(run_id: str, window: Window) -> dict[str, Any]:
    """Bound values of a question about the scans of a window."""
    return {"run": run_id, "from": window.from_ms, "to": window.to_ms}


def traded(label: str, window: Window) -> dict[str, Any]:
    """Bound values of a question about the trades of a window."""
    return {"label": label, "from": window.from_ms, "to": window.to_ms}


def last(store: Store, name: str, label: str) -> Contract | None:
    """The contract that was anchored last for a soak's name."""
    rows = store.rows(
        "SELECT document FROM violet_contracts WHERE name = {name:String} AND label = {label:String} "
        "ORDER BY anchored_at DESC LIMIT 1",
        {"name": name, "label": label},
    )
    return read(_bytes(rows[0]["document"]), "the journal") if rows else None


def find(store: Store, hash_: str) -> Mapping[str, Any] | None:
    """The row of an anchored contract, by its hash or a prefix of it that no other has."""
    if not hash_ or not set(hash_) <= set("0123456789abcdef"):
        return None
    rows = store.rows("SELECT * FROM contracts WHERE startsWith(contract_hash, {hash:String})", {"hash": hash_})
    return rows[0] if len(rows) == 1 else None


def contract_of(row: Mapping[str, Any]) -> Contract:
    """The contract of a row of the journal."""
    return read(_bytes(row["document"]), f"contract {row['contract_hash'][:12]} of the journal")


def require(store: Store, contract: Contract) -> Mapping[str, Any]:
    """The anchor of a contract. Raises Refusal where this journal has none: a byte was changed, or it is another's."""
    if (row := find(store, contract.hash)) is not None:
        return row
    near = [contract_of(row) for row in store.rows("SELECT * FROM contracts")]
    closest = min(near, key=lambda each: len(differences(contract, each)), default=None)
    words = ""
    if closest is not None:
        changed = differences(contract, closest) or ("lineage",)
        words = f"; contract {closest.hash[:12]} differs from it in {', '.join(changed[:5])}"
    raise Refusal(
        f"contract {contract.hash[:12]} is not anchored in this journal, so it was changed or made elsewhere{words}; "
        "fix: take the file as `violet contract new` wrote it, or make a new one"
    )


def anchor(store: Store, contract: Contract, name: str, topic: str = "") -> Mapping[str, Any]:
    """Keep a contract; the row that says since when. One that is there already stays as it is."""
    if (there := find(store, contract.hash)) is not None:
        return there
    row = {
        "contract_hash": contract.hash, "name": name, "run_id": contract.run_id, "label": contract.blue.label,
        "from_ms": contract.window.from_ms, "to_ms": contract.window.to_ms, "follows": contract.lineage.follows or "",
        "document": contract.text.decode(), "anchor_topic": topic, "anchored_at": now(),
    }  # fmt: skip
    store.put_row("violet_contracts", row, contract.hash)
    if (kept := find(store, contract.hash)) is None:
        raise AssertionError("must be there: it was stored")
    return kept


def offered(store: Store, contract: Contract, run: Run, window: Window, wheel: str) -> Contract:
    """The same terms over a part of the window, as a contract that follows."""
    chosen = Terms(
        universe=contract.universe, pairing=contract.pairing, margins=contract.margins, alpha=contract.alpha,
        floors=contract.floors, allowed=contract.allowed,
    )  # fmt: skip
    return following(made(store, run, contract.blue.label, window, chosen, wheel), contract)


def has_trades(store: Store, label: str) -> bool:
    """Whether trades of a label were imported."""
    sql = "SELECT count() FROM blue_imports WHERE state = 'COMPLETE' AND label = {label:String}"
    return store.count(sql, {"label": label}) > 0


def label_of(label: str) -> LABEL:
    """A label as the contract's type has it."""
    return cast("LABEL", label)


def _bytes(document: str | bytes) -> bytes:
    return document.encode() if isinstance(document, str) else document


def seen(store: Store, run_id: str) -> tuple[int, int] | None:
    """First and last event time of the scans of a run."""
    mine = "WHERE run_id = {run:String}"
    row = store.rows(
        f"SELECT count() AS n, min(ts_ms) AS first, max(ts_ms) AS last FROM "
        f"{SCANS.format('ts_ms', mine, 'ts_ms', mine)}",
        {"run": run_id},
    )[0]
    return (row["first"], row["last"]) if row["n"] else None


def _segment(store: Store, run: Run) -> Segment:
    found = segments(store, run.run_id)
    if not found:
        raise Refusal(f"run {run.run_id} has no segment yet; fix: wait until its soak began")
    return found[-1]


def _universe(store: Store, run_id: str) -> tuple[str, ...]:
    rows = store.rows(
        "SELECT DISTINCT toString(asset) AS asset FROM violet_decisions WHERE run_id = {run:String} ORDER BY asset",
        {"run": run_id},
    )
    if not rows:
        raise Refusal(f"run {run_id} decided on no asset yet; fix: say which may be traded with --universe A,B,C")
    return tuple(row["asset"] for row in rows)
