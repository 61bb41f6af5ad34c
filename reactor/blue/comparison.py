"""Comparison: a run beside BLUE's trades under a contract, from validity to the stored figures.

The clauses of both sides come first, then those of the pairs; only where all hold is anything measured. What differs is
put into its class by evaluating it again, and attributed to the lanes. See docs/design/blue.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from journal.blue import anchor, attribution, clause, figure, noise_floor, trust, verdict
from journal.blue.classes import classify, differs
from journal.blue.clause import Judge
from journal.blue.contract import Contract, Window, canonical
from journal.blue.pairing import Pair, pair
from journal.blue.slot import slots
from journal.blue.verdict import INVALID, Compared, Difference
from journal.ledger.pruned import pruned
from journal.ledger.run import Run
from journal.store import Store
from lanes.fingerprint import math_fingerprint
from lanes.profile import Profile
from reactor.blue import delay
from reactor.blue.again import again, deciders, seen
from reactor.run.provenance import wheel


def compared(store: Store, run: Run, contract: Contract) -> Compared:
    """Compare a run with BLUE, and keep what comes out in the journal.

    Args:
        store: the journal; it gets the comparison, the pairs of a valid one, and its ledger entry once it is over.
        run: the run that is asked for.
        contract: one that the journal has.
    """
    judge = Judge(wheel=wheel(), math_fingerprint=math_fingerprint())
    scans = clause.scans_of(store, contract, run.run_id)
    window = clause.reached(contract, run, scans)
    trades = anchor.trades(store, contract.blue.label, window)
    clauses, is_over = clause.of_sides(store, contract, run, scans, trades, judge)
    span = window.from_ms, window.to_ms
    found = pair(store, contract.run_id, contract.blue.label, span, contract.pairing.tolerance_ms)
    streams = sorted({each.decision["stream"] for each in found.pairs})
    traded = slots(store, contract.run_id, contract.blue.label, span, len(found.pairs), streams)
    clauses += clause.of_pairs(contract, found, traded, clause.buckets(store))
    made = Compared(
        compare_id=verdict.identity(store, contract, clauses), contract=contract, verdict=INVALID, is_over=is_over,
        clauses=clauses, trades=len(trades), pairs=len(found.pairs),
    )  # fmt: skip
    if spans := [span for each in made.broken for span in each.spans]:
        made = replace(made, valid_window=clause.longest(window, spans))
    if not made.broken:
        differences = explained(store, contract, found.pairs)
        verdict.store_pairs(store, contract, made.compare_id, found.pairs, differences)
        measures = verdict.measures(contract, found, traded, differences)
        figures = figure.figures(store, contract, made.compare_id, window, found, traded, trades)
        figures["noise_floor"] = noise(store, contract, window, found.pairs, differences)
        made = replace(made, verdict=verdict.verdict(measures), measures=measures, figures=figures)
    verdict.keep(store, run, made)
    if is_over and not made.broken:
        trust.enter(store, run)
    return made


def explained(store: Store, contract: Contract, pairs: Sequence[Pair]) -> dict[str, Difference]:
    """Of every pair whose sides are not the same, by trade_id: its class, its terms, and which delay explains it."""
    some = [each for each in pairs if differs(each) or each.trade["leverage"] is None]
    profile = Profile.model_validate_json(canonical({"name": contract.params.profile, **contract.params.values}))
    terms = attribution.of_pairs(some, attribution.Limits.of(profile))
    evaluated = again(some, [seen(each) for each in some], deciders(store, contract.run_id)) if some else []
    classes = [classify(each, row, contract.math_fingerprint) for each, row in zip(some, evaluated, strict=True)]
    sized = [
        each for each, found in zip(some, classes, strict=True) if found and each.trade["leverage"] is not None
    ]  # fmt: skip
    planes = noise_floor.seen(store, contract.run_id, sized)
    late = delay.explained(sized, planes, deciders(store, contract.run_id)) if sized else {}
    return {
        each.trade["trade_id"]: Difference(found, of, late.get(each.trade["trade_id"], ""))
        for each, found, of in zip(some, classes, terms, strict=True)
        if found is not None
    }


def noise(
    store: Store, contract: Contract, window: Window, pairs: Sequence[Pair], differences: Mapping[str, Difference]
) -> dict[str, Any]:  # fmt: skip
    """The noise floor: BLUE against BLUE, and how many differences one scan's delay of the planes explains."""
    late = {trade_id: each.delayed for trade_id, each in differences.items() if each.delayed}
    kept_from = {partition: each.last_offset for partition, each in pruned(store, contract.run_id).items()}
    at = [each.decision for each in pairs if each.trade["trade_id"] in differences]
    dropped = sum(row["log_offset"] <= kept_from.get(row["partition"], -1) for row in at)
    return {
        "blue": noise_floor.of_blue(store, contract.blue.label, (window.from_ms, window.to_ms)),
        "delay": delay.share(len(differences), late, dropped),
    }


def offer(store: Store, run: Run, made: Compared) -> Contract | None:
    """A contract over what of the window is valid, anchored; None where nothing is."""
    if made.valid_window is None:
        return None
    contract = anchor.offered(store, made.contract, run, made.valid_window, wheel())
    anchor.anchor(store, contract, run.name)
    return contract


def artefacts(store: Store, made: Compared) -> dict[str, bytes]:
    """The comparison as files, by name: contract, pairs, figures, and what differs."""
    whole = verdict.as_json(made)
    files = {"parity_contract.json": made.contract.text, "parity_aggregate.json": _json(whole)}
    if made.verdict == INVALID:
        return files
    return files | {
        "parity_compare.tsv": verdict.table(store, made.compare_id),
        "parity_mismatch_breakdown.json": _json({
            "compare_id": made.compare_id, "classes": made.figures["classes"], "unpaired": made.figures["unpaired"],
        }),
    }  # fmt: skip


def _json(value: object) -> bytes:
    return verdict.text(msgspec.to_builtins(value, enc_hook=str)).encode()
