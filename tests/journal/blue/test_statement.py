"""Evidence: a bundle that is whole is taken, and one in which any byte was changed is not."""

import base64
import hashlib
import io
import json
import zipfile

import pytest

from journal.blue.statement import ENVELOPE, authenticated, bundle, check, statement
from journal.refusal import Refusal

FILES = {"report.html": b"<p>PASS</p>", "contract.json": b'{"a":1}', "pairs.tsv": b"a\tb\n1\t2\n"}
PAYLOAD = statement(FILES, "HOLD", {"unpaired": "PASS", "leverage": "HOLD"}, "contract.json")
MADE = bundle(FILES, PAYLOAD, [("k1", b"s1")])


def test_the_statement_is_in_toto_s():
    said = json.loads(PAYLOAD)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert {each["name"]: each["digest"]["sha256"] for each in said["subject"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    predicate = said["predicate"]
    assert (predicate["result"], predicate["passedTests"], predicate["warnedTests"]) == (
        "WARNED",
        ["unpaired"],
        ["leverage"],
    )
    assert [each["name"] for each in predicate["configuration"]] == ["contract.json"]


def test_the_envelope_is_dsse_s():
    with zipfile.ZipFile(io.BytesIO(MADE)) as zipped:
        envelope = json.loads(zipped.read(ENVELOPE))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == PAYLOAD
    assert envelope["signatures"] == [{"keyid": "k1", "sig": base64.b64encode(b"s1").decode()}]
    assert authenticated(b"{}") == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


def test_the_same_content_is_the_same_bytes():
    assert bundle(dict(reversed(FILES.items())), PAYLOAD, [("k1", b"s1")]) == MADE
    found = check(MADE)
    assert (found.files, found.payload, found.signatures) == (FILES, PAYLOAD, [("k1", b"s1")])


def test_a_changed_byte_is_found_wherever_it_is():
    """The one exception is the signature, which its key finds."""
    start = MADE.index(base64.b64encode(b"s1"))
    signed = range(start, start + 4)
    key = range(MADE.index(b'"k1"') + 1, MADE.index(b'"k1"') + 3)
    for at in range(len(MADE)):
        for flip in (0x01, 0x80):
            changed = bytearray(MADE)
            changed[at] ^= flip
            try:
                check(bytes(changed))
            except Refusal:
                continue
            assert at in signed or at in key, (at, MADE[max(0, at - 20) : at + 20])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no bundle"), (b"PK", "no bundle"), (MADE[:-1], "changed"), (MADE + b"\0", "changed"), (MADE[50:], "changed"),
        (bundle(FILES | {"pairs.tsv": b""}, PAYLOAD, []), "pairs.tsv is not what the statement says"),
        (bundle(FILES | {"more": b""}, PAYLOAD, []), "more is not what the statement says"),
        (bundle({}, PAYLOAD, []), "contract.json is not what the statement says"),
        (bundle(FILES, b"[]", []), "cannot be read"), (bundle(FILES, b"{", []), "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_whole_bundle_is_refused_by_what_is_wrong(raw, words):
    with pytest.raises(Refusal, match=words):
        check(raw)


def test_a_packed_file_is_no_bundle_s():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(ENVELOPE, b"x" * 100_000)
    with pytest.raises(Refusal, match="its files are packed"):
        check(held.getvalue())
