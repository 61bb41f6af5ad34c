"""Trust: earned by three consecutive passing comparisons over windows apart, under one lineage of contracts.

Every comparison that is valid and over enters a ledger, once. Its entries are bound by hashes: an entry's is that of
its fields and of the hash before. Each read checks all of it, against the comparisons and contracts too, so nothing can
be changed, left out or put in unseen. Trust is about BLUE: a comparison with STAND-IN trades or with stand-in lanes
never counts, and how healthy a soak is has no part in it. See docs/design/blue.md.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from journal.blue import anchor
from journal.blue.contract import Contract, canonical, differences, terms
from journal.blue.intake import REAL
from journal.blue.verdict import summed
from journal.judge.gate import PASS
from journal.ledger.pruned import utc
from journal.ledger.run import UPSTREAM, Run, find, now
from journal.refusal import Refusal
from journal.store import Store

CYCLES: Final = 3
GRANTED: Final = "GRANTED"
HOLD: Final = "HOLD"
EXIT: Final = {GRANTED: 0, HOLD: 2}
_ABOUT: Final = "compare_id, contract_hash, run_id, name, label, from_ms, to_ms, verdict"
_CAME_TO: Final = ", ".join(f"toString({name})" for name in f"{_ABOUT}, clauses, measures, figures".split(", "))
FIRST: Final = "0" * 64  # what the first entry follows
_AFTER: Final = ", under a contract made after its window opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the ledger. standins: what of the run is not BLUE's; compare_hash: of what the comparison came to."""

    seq: int
    previous: str
    compare_id: str
    contract_hash: str
    run_id: str
    name: str
    label: str
    standins: tuple[str, ...]
    from_ms: int
    to_ms: int
    verdict: str
    compare_hash: str
    entered_at: str

    @property
    def hash(self) -> str:
        """SHA-256 of its fields, the hash of the entry before among them."""
        return hashlib.sha256(canonical(msgspec.to_builtins(self))).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where trust in the runs of a name stands.

    cycles: the passing comparisons that count now, in their order. missing: what is needed yet. events: what became of
    each entry, in words, the oldest first. made_after: how many cycles have a contract that was made after its window
    opened, so that its terms may have been chosen after a look at the data.
    """

    name: str
    status: str
    cycles: Sequence[Entry]
    missing: Sequence[str]
    events: Sequence[str]
    made_after: int

    @property
    def words(self) -> str:
        """The standing in a line."""
        if self.status == GRANTED:
            caveat = f"; {self.made_after} under contracts made after their windows opened" if self.made_after else ""
            return f"{GRANTED} ({len(self.cycles)} consecutive passing comparisons with BLUE{caveat})"
        return f"{HOLD} (needs {'; '.join(self.missing)})"


def enter(store: Store, run: Run) -> None:
    """Put every comparison that is kept into the ledger, once, as they were made; none that is invalid or not over.

    Beside the last one these are such whose command died before.

    Args:
        store: the journal.
        run: the run of the last comparison.

    Raises:
        Refusal: the ledger is broken, or another process wrote to it meanwhile.
    """
    entries, lacking = _read(store)
    for row in lacking:
        of = run if row["run_id"] == run.run_id else find(store, run_id=row["run_id"])
        at = now()
        entry = Entry(
            seq=len(entries) + 1, previous=entries[-1].hash if entries else FIRST, compare_id=row["compare_id"],
            contract_hash=row["contract_hash"], run_id=row["run_id"], name=row["name"], label=row["label"],
            standins=tuple(of.standins) if of else ("unknown",), from_ms=row["from_ms"], to_ms=row["to_ms"],
            verdict=row["verdict"], compare_hash=row["compare_hash"], entered_at=_stamp(at),
        )  # fmt: skip
        fields = asdict(entry) | {"standins": list(entry.standins), "entry_hash": entry.hash, "entered_at": at}
        store.put_row("violet_trust", fields, f"trust|{entry.seq}")
        entries.append(entry)
        if _read(store)[0] != entries:  # a place is taken once for all: by its token, even after its entry was removed
            raise Refusal(
                f"the ledger did not take entry {entry.seq}: another comparison entered meanwhile, or an entry was "
                "removed; fix: `violet compare` once more, or restore a backup"
            )


def ledger(store: Store) -> list[Entry]:
    """All entries, verified.

    Raises:
        Refusal: an entry was changed, removed or put in, or what it rests on was.
    """
    entries, lacking = _read(store)
    if lacking:
        raise Refusal(
            f"the ledger lacks comparison {lacking[0]['compare_id']}: its entry was removed, or its command died; fix: "
            "the next `violet compare` enters it"
        )
    return entries


def _read(store: Store) -> tuple[list[Entry], list[dict[str, Any]]]:
    """All entries, verified, and the comparisons that lack one. Raises Refusal where the ledger is broken."""
    entries = []
    previous = FIRST
    compares = _compares(store)
    contracts = {row["contract_hash"] for row in store.rows("SELECT contract_hash FROM violet_contracts")}
    for place, row in enumerate(store.rows("SELECT * FROM violet_trust ORDER BY seq, entered_at"), 1):
        entry = _entry(row)
        if entry.seq != place:
            raise _broken(place, f"is missing: there is entry {entry.seq} instead")
        if row["entry_hash"] != entry.hash:
            raise _broken(place, "was changed: its hash is another")
        if entry.previous != previous:
            raise _broken(place, "does not follow the entry before it")
        compared = compares.pop(entry.compare_id, None)
        if compared is None or compared["compare_hash"] != entry.compare_hash:
            raise _broken(place, f"is about comparison {entry.compare_id}, which was changed or is gone")
        if entry.contract_hash not in contracts:
            raise _broken(place, f"is about contract {entry.contract_hash[:12]}, which is gone")
        previous = row["entry_hash"]
        entries.append(entry)
    return entries, list(compares.values())


def standing(store: Store, name: str, standins: Sequence[str] = ()) -> Standing:
    """Where trust in the runs of a name stands. standins: those of its latest run. Raises Refusal as `ledger` does."""
    entries = [each for each in ledger(store) if each.name == name]
    rows = {each.contract_hash: _anchored(store, each.contract_hash) for each in entries}
    contracts = {hash_: anchor.contract_of(row) for hash_, row in rows.items()}
    after = {hash_ for hash_, row in rows.items() if not row["is_before"]}
    cycles: list[Entry] = []
    events = []
    for entry in entries:
        cycles, event = _after(cycles, entry, contracts, partial(_ancestors, store))
        events.append(event + _AFTER * (entry in cycles and entry.contract_hash in after))
    missing = []
    if len(cycles) < CYCLES:
        missing = [f"{CYCLES - len(cycles)} more passing comparisons"]
        missing += ["trades of BLUE"] * (not anchor.has_trades(store, REAL))
        if lanes := [each for each in standins if each not in UPSTREAM]:
            missing.append(f"BLUE's kernels of {', '.join(lanes)}")
        if feeds := [each for each in standins if each in UPSTREAM]:
            missing.append(f"BLUE's own {', '.join(feeds)}")
    status = HOLD if missing else GRANTED
    made_after = sum(each.contract_hash in after for each in cycles)
    return Standing(
        name=name, status=status, cycles=tuple(cycles), missing=tuple(missing), events=tuple(events),
        made_after=made_after,
    )  # fmt: skip


def lines(entries: Sequence[Entry]) -> bytes:
    """The ledger as JSON lines, each with its hash: the SHA-256 of the line without it."""
    rows = (canonical(msgspec.to_builtins(each) | {"entry_hash": each.hash}) + b"\n" for each in entries)
    return b"".join(rows)


def told(store: Store, run: Run) -> dict[str, Any]:
    """What status and page say of a run beside BLUE: the verdict of the last comparison of its name, and trust.

    compare: None where none was made. trust: in words.
    """
    rows = store.rows(
        f"SELECT {_ABOUT}, is_over, clauses, measures, figures, pairs, compared_at FROM compares "
        "WHERE name = {name:String} ORDER BY compared_at DESC, compare_id LIMIT 1",
        {"name": run.name},
    )
    return {"compare": summed(rows[0]) if rows else None, "trust": in_words(store, run)}


def in_words(store: Store, run: Run) -> str:
    """Where trust in a run stands, in a line; of a broken ledger what is wrong with it."""
    try:
        return standing(store, run.name, run.standins).words
    except Refusal as broken:
        return f"{HOLD} ({broken})"


def _after(
    cycles: list[Entry],
    entry: Entry,
    contracts: Mapping[str, Contract],
    ancestors: Callable[[Contract], Iterable[str]],
) -> tuple[list[Entry], str]:
    """The cycles that count after an entry, and what became of it."""
    what = f"{entry.seq}. {entry.compare_id} {entry.verdict}"
    if entry.label != REAL:
        return cycles, f"{what}: never counts, its trades are {entry.label}"
    if entry.standins:
        return cycles, f"{what}: never counts, stand-ins: {', '.join(entry.standins)}"
    if entry.verdict != PASS:
        return [], f"{what}: begins anew, {'it failed' if entry.verdict == 'FAIL' else 'it could not be told'}"
    if over := [each for each in cycles if each.from_ms < entry.to_ms and entry.from_ms < each.to_ms]:
        return cycles, f"{what}: does not count, its window overlaps that of {over[0].compare_id}"
    if cycles:
        mine, before = contracts[entry.contract_hash], contracts[cycles[-1].contract_hash]
        if changed := terms(differences(mine, before)):
            return [entry], f"{what}: begins anew as the first, its contract is another: {', '.join(changed)}"
        if before.hash not in ancestors(mine):
            return [entry], f"{what}: begins anew as the first, its contract does not follow {before.hash[:12]}"
    return [*cycles, entry], f"{what}: cycle {len(cycles) + 1}"


def _ancestors(store: Store, contract: Contract) -> Iterator[str]:
    """The hashes of a contract and of those that it goes on from."""
    at: Contract | None = contract
    while at is not None:
        yield at.hash
        follows = at.lineage.follows
        at = anchor.contract_of(_anchored(store, follows)) if follows else None


def _anchored(store: Store, hash_: str) -> Mapping[str, Any]:
    row = anchor.find(store, hash_)
    if row is None:
        raise Refusal(f"contract {hash_[:12]} is gone from this journal; fix: restore a backup")
    return row


def _compares(store: Store) -> dict[str, dict[str, Any]]:
    """The comparisons that have a place in the ledger, by id; compare_hash: over all that one came to."""
    rows = store.rows(
        f"SELECT {_ABOUT}, lower(hex(SHA256(arrayStringConcat([{_CAME_TO}], '\\n')))) AS compare_hash FROM compares "
        "WHERE verdict != 'INVALID' AND is_over ORDER BY compared_at, compare_id"
    )
    return {row["compare_id"]: row for row in rows}


def _entry(row: Mapping[str, Any]) -> Entry:
    fields = {name: row[name] for name in Entry.__dataclass_fields__}
    return Entry(**fields | {"standins": tuple(row["standins"]), "entered_at": _stamp(utc(row["entered_at"]))})


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _broken(place: int, words: str) -> Refusal:
    return Refusal(f"the ledger of trust is broken: entry {place} {words}; fix: restore a backup")
