"""`violet bundle`: a run's evidence as one file that anybody can check."""

from pathlib import Path
from typing import Any, Final

import click

from journal.blue import statement
from journal.blue.report import collect
from journal.blue.verdict import INVALID, table
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.shown import as_json, plain
from journal.store import Store
from reactor.blue import signature
from reactor.cli.common import PATH, data_option, journal, json_option, out, print_json, run_argument, write
from reactor.feed.archive_writer import check_target
from reactor.web.report_page import report_page

SIGNER: Final = "signer.pem"
CONTRACT: Final = "contract.json"


@click.group("bundle")
def command() -> None:
    """Make a file of evidence of a run, or check one, with no journal beside it.

    It is a zip of the report, its numbers, and beside BLUE the contract and the pairs, under an in-toto statement in a
    DSSE envelope. Unsigned it shows that nothing was changed by accident; signed, who made it.

    \b
    violet bundle make latest -o run.zip --data my-soak
    violet bundle verify run.zip
    """  # noqa: D301 - click's mark for lines that are not to be filled


@command.command("make")
@run_argument
@click.option("--against", type=click.Choice(["blue"]), help="Beside what: BLUE, as `violet compare` compared it last.")
@click.option("-o", "--out", "target", type=PATH, required=True, help="File to write, .zip.")
@click.option("--sign", "key", type=PATH, help="Ed25519 signing key in PEM, without a password; needs `openssl`.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@data_option
def make(run_id: str | None, against: str | None, target: Path, key: Path | None, force: bool, data: Path) -> None:
    """Make the evidence of RUN. Without RUN: the latest.

    \b
    violet bundle make latest --against blue -o evidence.zip --data my-soak
    violet bundle make latest -o evidence.zip --sign key.pem --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    check_target(target, force=force, suffixes=(".zip",))
    with journal(data, reads=True) as store:
        report = collect(store, runs.pick(store, run_id), against_blue=against is not None)
        files = _files(store, report)
    if key is not None:
        files[SIGNER] = signature.public(key)
    compared = report["compare"]
    if compared is None:
        verdict, contract = report["run"]["verdict"], None
        clauses = {f"segment {each['segment']}: {each['name']}": each["verdict"] for each in report["clauses"]}
    else:
        verdict, contract = compared["verdict"], CONTRACT
        clauses = {each["name"]: each["verdict"] for each in compared["measures"]}
    payload = statement.statement(files, verdict, clauses, contract)
    signatures = []
    if key is not None:
        signatures = [(signature.key_id(files[SIGNER]), signature.sign(key, statement.authenticated(payload)))]
    write(target, statement.bundle(files, payload, signatures))
    out.print(f"{target}: {verdict}, {len(files)} files, {'signed' if signatures else 'not signed'}")


@command.command("verify")
@click.argument("file", type=PATH)
@click.option("--key", type=PATH, help="Public key in PEM of whom you trust: it must have signed.")
@json_option
def verify(file: Path, key: Path | None, as_json: bool) -> None:
    """Check a file of evidence: every digest, every byte, the signature. Exit code 3 where something was changed.

    Without --key a signature is checked by the key that lies in the bundle: then it shows that one maker made it all,
    and not who.

    \b
    violet bundle verify evidence.zip --key maker.pem
    """  # noqa: D301 - click's mark for lines that are not to be filled
    try:
        found = statement.check(file.read_bytes())
    except OSError as error:
        raise Refusal(f"{file} cannot be read ({error.strerror}); fix: name a file of `violet bundle make`") from None
    except Refusal as error:
        raise Refusal(f"{file}: {error}") from None
    signed_by = _signer(file, found, key)
    result = found.statement["predicate"]["result"]
    if as_json:
        told = {"result": result, "files": sorted(found.files), "signed_by": signed_by, "is_trusted": key is not None}
        print_json(told)
        return
    who = "not signed" if signed_by is None else f"signed by {signed_by}" + ("" if key else " (a key that lies in it)")
    out.print(f"{file}: whole, {len(found.files)} files, {result}, {who}")


def _files(store: Store, report: dict[str, Any]) -> dict[str, bytes]:
    compared = report["compare"]
    files = {"report.html": report_page(report).encode(), "report.json": (as_json(plain(report)) + "\n").encode()}
    if compared is None:
        return files
    if compared["verdict"] == INVALID:
        raise Refusal(
            "an INVALID comparison is no evidence; fix: mend what `violet compare` names, or leave --against away"
        )
    return files | {CONTRACT: compared["document"].encode(), "pairs.tsv": table(store, compared["compare_id"])}


def _signer(file: Path, found: statement.Checked, key: Path | None) -> str | None:
    """The key id of the signature, which must fit; of the key that is trusted, if one is given."""
    if not found.signatures:
        if key is not None:
            raise Refusal(
                f"{file} is not signed, and --key {key} was to have signed it; fix: ask its maker for a signed one"
            )
        return None
    pem = key.read_bytes() if key is not None else found.files.get(SIGNER, b"")
    wanted, message = signature.key_id(pem), statement.authenticated(found.payload)
    if not any(keyid == wanted and signature.fits(pem, sig, message) for keyid, sig in found.signatures):
        raise Refusal(
            f"{file}: changed, or signed by another key than {wanted}; fix: give its maker's key, or ask for it again"
        )
    return wanted
