"""Statement: files of evidence under one in-toto statement, which anybody can check without VIOLET's journal.

The statement (in-toto Statement v1, predicate test-result v0.1) holds the SHA-256 of every file; it lies in a DSSE
envelope, which may be signed. All of it is one zip without compression whose bytes follow from its content, so a byte
that was changed anywhere is found.
Source: in-toto attestation framework, statement v1 and predicate test-result v0.1; DSSE protocol v1.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from journal.refusal import Refusal

ENVELOPE: Final = "statement.dsse.json"
TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
RESULT: Final = {"PASS": "PASSED", "HOLD": "WARNED", "FAIL": "FAILED"}
LARGEST: Final = 256 << 20  # bytes of a bundle
_FIX: Final = "fix: take the file as `violet bundle make` wrote it"
Sign = Callable[[bytes], tuple[str, bytes]]
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # a zip's own first time: no clock is in a bundle


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that is whole. signers: key ids of its signatures, which somebody else must judge."""

    files: Mapping[str, bytes]
    statement: Mapping[str, Any]
    payload: bytes
    signatures: Sequence[tuple[str, bytes]]


def statement(files: Mapping[str, bytes], verdict: str, clauses: Mapping[str, str], contract: str | None) -> bytes:
    """What is attested, as canonical JSON.

    Args:
        files: name -> content, each a subject.
        verdict: PASS, HOLD or FAIL.
        clauses: what was asked -> PASS, HOLD or FAIL.
        contract: of the files the one that says what was agreed before; None where there is none.
    """
    by = {kind: sorted(name for name, said in clauses.items() if said == kind) for kind in RESULT}
    predicate = {
        "result": RESULT[verdict], "configuration": [] if contract is None else [_named(contract, files[contract])],
        "passedTests": by["PASS"], "warnedTests": by["HOLD"], "failedTests": by["FAIL"],
    }  # fmt: skip
    subjects = [_named(name, files[name]) for name in sorted(files)]
    made = {"_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE, "predicate": predicate}
    return msgspec.json.encode(made, order="sorted")


def bundle(files: Mapping[str, bytes], payload: bytes, signatures: Sequence[tuple[str, bytes]]) -> bytes:
    """The zip: the envelope first, then the files by name."""
    envelope = {
        "payload": _base64(payload), "payloadType": TYPE,
        "signatures": [{"keyid": keyid, "sig": _base64(sig)} for keyid, sig in signatures],
    }  # fmt: skip
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as made:
        for name, content in ((ENVELOPE, msgspec.json.encode(envelope)), *sorted(files.items())):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            made.writestr(info, content)
    return held.getvalue()


def authenticated(payload: bytes) -> bytes:
    """What a signature is over: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


def check(raw: bytes) -> Checked:
    """A bundle whose every byte is as it was made; signatures are taken out and not judged.

    Raises:
        Refusal: it is no bundle, or something in it was changed; it names what.
    """
    if len(raw) > LARGEST:
        raise Refusal(f"a bundle has at most {LARGEST} bytes, this has {len(raw)}; {_FIX}")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
            listed = zipped.infolist()
            if sum(info.file_size for info in listed) > len(raw) or any(info.compress_type for info in listed):
                raise ValueError("its files are packed")
            files = {name: zipped.read(name) for name in zipped.namelist()}
        envelope = msgspec.json.decode(files.pop(ENVELOPE))
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(s["keyid"], base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
        said = msgspec.json.decode(payload)
        subjects = {each["name"]: each["digest"]["sha256"] for each in said["subject"]}
    except Exception as error:  # noqa: BLE001 - what was tampered with raises whatever a reader of zips may raise
        raise Refusal(f"changed, or no bundle: it cannot be read ({error}); {_FIX}") from None
    for name in sorted({*files, *subjects}):
        if name not in files or name not in subjects or hashlib.sha256(files[name]).hexdigest() != subjects[name]:
            raise Refusal(f"changed: {name} is not what the statement says; {_FIX}")
    if bundle(files, payload, signatures) != raw:
        raise Refusal(f"changed: the files are as the statement says, and bytes beside them are not; {_FIX}")
    return Checked(files, said, payload, signatures)


def _named(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
