"""Signatures by OpenSSL: they fit their key and message and nothing else; what is no key is refused by its name."""

import shutil
import subprocess

import pytest

from journal.refusal import Refusal
from reactor.blue.signature import fits, key_id, public, sign

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    OPENSSL is None, reason="signing asks the machine's `openssl`, and there is none; .ci/run installs it"
)


def made(path, *words):
    subprocess.run(
        [OPENSSL, "genpkey", *words, "-out", path], check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [made(folder / name, "-algorithm", "ed25519") for name in ("one.pem", "two.pem")]


def test_a_signature_fits_its_key_and_message_alone(keys):
    one, two = keys
    signed = sign(one, b"message")
    assert len(signed) == 64
    assert fits(public(one), signed, b"message")
    assert not fits(public(one), signed, b"massage")
    assert not fits(public(two), signed, b"message")
    assert not fits(public(one), signed[:-1] + bytes([signed[-1] ^ 1]), b"message")
    assert not fits(public(one), b"", b"message")


def test_a_key_has_one_id(keys):
    one, two = (key_id(public(key)) for key in keys)
    assert one == key_id(public(keys[0])) != two
    assert len(one) == 64


def test_what_is_no_signing_key_is_refused(keys, tmp_path):
    (tmp_path / "no.pem").write_bytes(b"no key")
    locked = made(tmp_path / "locked.pem", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret")
    other = made(tmp_path / "rsa.pem", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    for path in (tmp_path / "no.pem", tmp_path / "none.pem", locked):
        with pytest.raises(Refusal, match="must be an Ed25519 signing key in PEM, without a password"):
            public(path)
    with pytest.raises(Refusal, match="must be an Ed25519 key; fix: `openssl genpkey -algorithm ed25519"):
        key_id(public(other))
    with pytest.raises(Refusal, match="must be an Ed25519 public key"):
        fits(b"no key", b"s", b"m")
