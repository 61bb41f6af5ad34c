"""Contracts in the journal: what is known goes in, what is not stays open, and only what was kept counts."""

import msgspec
import pytest

from journal.blue import anchor
from journal.blue.contract import Said, Window
from journal.refusal import Refusal
from tests.journal.blue.agreed import TERMS, agreed, at, changed, minutes, sized, soaked, traded, window
from tests.written import begin


@pytest.fixture(scope="module")
def known(store):
    """A run of 20 minutes and two trades in it."""
    first = minutes()
    written = soaked(store, first)
    traded(store, sized(first + 3))
    traded(store, sized(first + 9, version="b2"))
    return first, written


def test_a_contract_holds_what_the_journal_knows_of_both_sides(store, known):
    first, written = known
    contract = agreed(store, written)
    assert contract.window == Window(from_ms=at(first), to_ms=at(first + 19) + 1)
    assert [(r.partition, r.first, r.last) for r in contract.log.ranges] == [(0, 7, 33)]
    assert (contract.params.hash, contract.code.code_hash) == (written.rules.profile.hash, "c0de")
    assert contract.universe == ("BTCUSDT",)
    assert [each.rows for each in contract.blue.imports] == [1, 1]
    assert contract.blue.said == Said(version="b1", code_hash="c1", config_hash="k1", math_fingerprint="m1")
    assert not contract.is_open


def test_the_chain_is_over_the_batches_in_their_order(store, known):
    _, written = known
    contract = agreed(store, written)
    assert anchor.chain(store, written.run_id, contract.log.ranges) == contract.log.chain
    changed_row = written.copied("batches", put={"decisions_hash": "decisions_hash + 1"})
    assert anchor.chain(store, changed_row.run_id, contract.log.ranges) != contract.log.chain


def test_a_trade_outside_the_window_changes_no_import_of_it(store, known):
    first, written = known
    contract = agreed(store, written)
    traded(store, sized(first + 5_000))
    assert anchor.imports(store, "REAL", contract.window) == contract.blue.imports
    narrow = anchor.imports(store, "REAL", window(first, first + 4))
    assert [each.rows for each in narrow] == [1]


def test_before_the_window_opens_its_log_and_imports_are_open(store, known):
    first, _ = known
    later = begin(store)
    span = window(first + 2_000_000, first + 2_001_000)
    with pytest.raises(Refusal, match=r"decided on no asset yet; fix: .*--universe"):
        agreed(store, later, span)
    with pytest.raises(Refusal, match="fix: say the window with --from and --to"):
        agreed(store, later)
    contract = agreed(store, later, span, universe=("BTCUSDT", "ETHUSDT"))
    assert contract.is_open
    assert (contract.log.ranges, contract.log.chain, contract.blue.imports, contract.blue.said) == (None,) * 4


def test_a_contract_is_kept_once_and_found_by_a_prefix(store, known):
    _, written = known
    contract = agreed(store, written)
    row = anchor.anchor(store, contract, written.run.name)
    assert (
        store.count("SELECT count() FROM violet_contracts WHERE contract_hash = {h:String}", {"h": contract.hash}) == 1
    )
    assert anchor.find(store, contract.hash[:16]) == row
    assert anchor.contract_of(row) == contract
    assert anchor.find(store, "") is anchor.find(store, "%") is None
    assert not row["is_before"]


def test_a_contract_that_the_journal_does_not_have_is_refused_with_what_differs(store, known):
    _, written = known
    contract = agreed(store, written)
    other = changed(contract, margins=msgspec.structs.replace(contract.margins, leverage=0.5))
    with pytest.raises(
        Refusal, match=rf"not anchored in this journal.*{contract.hash[:12]} differs from it in margins.leverage; fix: "
    ):
        anchor.require(store, other)
    assert anchor.require(store, contract)["contract_hash"] == contract.hash


def test_a_part_of_a_window_is_offered_under_the_same_terms(store, known):
    first, written = known
    contract = agreed(store, written)
    part = anchor.offered(store, contract, written.run, window(first, first + 5), "wheel")
    assert part.lineage.follows == contract.hash
    assert set(part.lineage.changed) == {"blue.imports", "log.chain", "log.ranges", "window.to_ms"}
    assert [(r.first, r.last) for r in part.log.ranges] == [(7, 11)]
    assert TERMS.pairing == part.pairing


def test_a_contract_of_a_window_that_did_not_open_is_known_to_be_of_before(store, known):
    first, written = known
    contract = agreed(store, written, window(first + 2_000_000, first + 2_001_000))
    assert anchor.require(store, contract)["is_before"]
