"""Trust: three passing comparisons of a BLUE that only these tests have, over windows apart; each way to lose it by name."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from journal.blue import anchor, trust
from journal.blue.contract import Margins, following
from journal.blue.trust import GRANTED, HOLD, standing
from journal.ledger.run import now
from journal.refusal import Refusal
from tests.integration.fixtures import own_journal
from tests.journal.blue.agreed import agreed, changed, minutes, sized, soaked, traded, window

journal = own_journal  # a ledger of its own


@pytest.fixture(scope="module")
def known(journal):
    """A run, and a contract over it that each cycle has with another window."""
    first = minutes()
    written = soaked(journal.store, first)
    traded(journal.store, sized(first))
    return first, written.run, agreed(journal.store, written)


class Cycles:
    """Comparisons that were kept and entered, each under a contract that follows the one before."""

    def __init__(self, store, first, run, contract):
        self.store, self.first, self.run, self.contract, self.last = store, first, run, contract, None

    def __call__(self, place, verdict="PASS", label="REAL", standins=(), follows=True, died=False, **terms):
        """One over the 20 minutes of a place. died: before its entry."""
        span = window(self.first + int(20 * place), self.first + int(20 * place) + 20)
        blue = msgspec.structs.replace(self.contract.blue, label=label)
        contract = following(changed(self.contract, window=span, blue=blue, **terms), self.last if follows else None)
        anchor.anchor(self.store, contract, self.run.name)
        self.last = contract
        row = {
            "compare_id": f"c{place}-{contract.hash[:8]}", "contract_hash": contract.hash, "run_id": self.run.run_id,
            "name": self.run.name, "label": label, "from_ms": span.from_ms, "to_ms": span.to_ms,
            "is_over": True, "verdict": verdict, "clauses": "[]", "measures": "[]", "figures": "{}", "pairs": 2,
            "trades": 2, "compared_at": now(),
        }  # fmt: skip
        self.store.put_row("violet_compares", row, row["compare_id"])
        if verdict != "INVALID" and not died:
            trust.enter(self.store, replace(self.run, standins=tuple(standins)))
        return row["compare_id"]

    def stands(self, standins=()):
        return standing(self.store, self.run.name, standins)

    @property
    def events(self):
        return [event.partition(": ")[2] for event in self.stands().events]


@pytest.fixture
def cycle(journal, known, monkeypatch):
    """Cycles whose contracts are made before their windows open."""
    before = datetime.fromtimestamp(window(known[0], known[0] + 1).from_ms / 1e3 - 1, UTC)
    monkeypatch.setattr(anchor, "now", lambda: before)
    yield Cycles(journal.store, *known)
    for table in ("violet_trust", "violet_compares"):
        journal.store.command(f"TRUNCATE TABLE {table}")


def test_three_windows_apart_under_one_lineage_grant_it(cycle):
    cycle(0)
    cycle(1)
    assert (cycle.stands().status, cycle.stands().missing) == (HOLD, ("1 more passing comparisons",))
    cycle(3)
    assert (cycle.stands().status, len(cycle.stands().cycles), cycle.stands().missing) == (GRANTED, 3, ())
    assert cycle.events == ["cycle 1", "cycle 2", "cycle 3"]
    assert cycle.stands().words == "GRANTED (3 consecutive passing comparisons with BLUE)"


def test_contracts_made_after_their_windows_opened_count_and_are_named_beside_the_trust_they_earn(cycle, monkeypatch):
    cycle(0, alpha=0.04)
    monkeypatch.setattr(anchor, "now", now)
    cycle(1, alpha=0.04)
    assert cycle.events == ["cycle 1", "cycle 2, under a contract made after its window opened"]
    cycle(2, alpha=0.04)
    stands = cycle.stands()
    assert stands.words == (
        "GRANTED (3 consecutive passing comparisons with BLUE; 2 under contracts made after their windows opened)"
    )
    assert stands.made_after == 2


def test_the_same_comparison_again_is_no_other_cycle(cycle):
    cycle(0)
    again = cycle(1)
    trust.enter(cycle.store, cycle.run)
    assert [entry.compare_id for entry in trust.ledger(cycle.store)][1:] == [again]


def test_a_comparison_whose_command_died_before_its_entry_is_entered_by_the_next_in_its_place(cycle):
    made = [cycle(0), cycle(1, "FAIL", died=True)]
    with pytest.raises(Refusal, match=f"the ledger lacks comparison {made[1]}"):
        cycle.stands()
    made.append(cycle(2))
    assert [entry.compare_id for entry in trust.ledger(cycle.store)] == made
    assert cycle.events == ["cycle 1", "begins anew, it failed", "cycle 1"]


def test_the_place_of_an_entry_that_was_removed_is_taken_by_no_other(cycle):
    cycle(0)
    cycle(1, "FAIL")
    cycle.store.command("ALTER TABLE violet_trust DELETE WHERE seq = 2 SETTINGS mutations_sync = 2")
    for place in (2, 3):
        with pytest.raises(Refusal, match="the ledger did not take entry 2: .* or an entry was removed"):
            cycle(place)
    assert cycle.store.rows("SELECT max(seq) AS last FROM violet_trust")[0]["last"] == 1


def test_windows_that_overlap_do_not_count(cycle):
    first, *_ = [cycle(place) for place in (0, 0.5, 1, 0.75)]
    assert (cycle.stands().status, len(cycle.stands().cycles)) == (HOLD, 2)
    assert cycle.events[1] == f"does not count, its window overlaps that of {first}"


def test_another_contract_begins_anew_and_says_what_is_another(cycle):
    cycle(0)
    cycle(1)
    cycle(2, margins=Margins(leverage=0.2, notional=0.02))
    assert (cycle.stands().status, len(cycle.stands().cycles)) == (HOLD, 1)
    assert cycle.events[2] == "begins anew as the first, its contract is another: margins.leverage"


def test_a_contract_that_follows_no_other_begins_anew(cycle):
    cycle(0)
    before = cycle.last
    cycle(1, follows=False)
    assert cycle.events[1] == f"begins anew as the first, its contract does not follow {before.hash[:12]}"


@pytest.mark.parametrize(("verdict", "words"), [("FAIL", "it failed"), ("HOLD", "it could not be told")])
def test_a_cycle_that_does_not_pass_begins_anew(cycle, verdict, words):
    cycle(0)
    cycle(1)
    cycle(2, verdict)
    cycle(3)
    assert (cycle.stands().status, len(cycle.stands().cycles), cycle.events[2]) == (HOLD, 1, f"begins anew, {words}")


def test_a_stand_in_and_an_invalid_comparison_never_count(cycle):
    cycle(0, label="STAND-IN")
    cycle(1, standins=("dc", "scanner"))
    cycle(2, "INVALID")
    assert cycle.events == ["never counts, its trades are STAND-IN", "never counts, stand-ins: dc, scanner"]
    stands = cycle.stands(("dc", "scanner"))
    assert (stands.status, stands.cycles) == (HOLD, ())
    assert stands.missing == ("3 more passing comparisons", "BLUE's kernels of dc", "BLUE's own scanner")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("ALTER TABLE violet_trust UPDATE verdict = 'PASS' WHERE seq = 2", "entry 2 was changed: its hash is another"),
        ("ALTER TABLE violet_trust DELETE WHERE seq = 2", "entry 2 is missing: there is entry 3 instead"),
        ("ALTER TABLE violet_trust DELETE WHERE seq = 3", "the ledger lacks comparison"),
        ("ALTER TABLE violet_compares UPDATE verdict = 'PASS' WHERE verdict = 'FAIL'", "which was changed or is gone"),
        ("INSERT INTO violet_trust SELECT * REPLACE (4 AS seq) FROM (SELECT * FROM violet_trust WHERE seq = 3)", "entry 4 was changed"),
        ("INSERT INTO violet_trust SELECT * FROM violet_trust WHERE seq = 3", "entry 4 is missing: there is entry 3 instead"),
    ],
)  # fmt: skip
def test_a_ledger_that_was_touched_is_refused_at_every_read(cycle, sql, words):
    for place, verdict in enumerate(("PASS", "FAIL", "PASS")):
        cycle(place, verdict)
    assert len(trust.ledger(cycle.store)) == 3
    cycle.store.command(f"{sql}{' SETTINGS mutations_sync = 2' if sql.startswith('ALTER') else ''}")
    with pytest.raises(Refusal, match=words):
        cycle.stands()


def test_a_chain_that_was_computed_anew_from_a_changed_entry_on_does_not_follow(cycle):
    cycle(0, "FAIL")
    cycle(1)
    first = trust.ledger(cycle.store)[0]
    forged = replace(first, verdict="PASS")
    cycle.store.command(
        f"ALTER TABLE violet_trust UPDATE verdict = 'PASS', entry_hash = '{forged.hash}' WHERE seq = 1 SETTINGS mutations_sync = 2"
    )
    with pytest.raises(Refusal, match="entry 2 does not follow the entry before it"):
        cycle.stands()


def test_the_ledger_s_lines_can_be_checked_by_anybody(cycle):
    cycle(0)
    cycle(1)
    previous = trust.FIRST
    for line in trust.lines(trust.ledger(cycle.store)).splitlines():
        entry = json.loads(line)
        hash_ = entry.pop("entry_hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert (hashlib.sha256(text.encode()).hexdigest(), entry["previous"]) == (hash_, previous)
        previous = hash_
