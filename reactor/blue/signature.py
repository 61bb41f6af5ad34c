"""Signatures of evidence with Ed25519, by the machine's own OpenSSL: VIOLET holds no cryptography.

A key id is the SHA-256 of the public key's 32 bytes.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from journal.refusal import Refusal

_LENGTH: Final = 44  # bytes of an Ed25519 public key as DER, of which the last 32 are the key
_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
_WAIT_S: Final = 20


def public(path: Path) -> bytes:
    """The public key of a signing key, as PEM. Refuses what is no Ed25519 key without a password."""
    return _openssl("pkey", "-in", path, "-passin", "pass:", "-pubout", about=f"{path} must be an Ed25519 signing key")


def key_id(pem: bytes) -> str:
    """The id of a public key. Refuses what is no Ed25519 key."""
    with tempfile.TemporaryDirectory() as folder:
        file = _kept(folder, "key", pem)
        der = _openssl("pkey", "-pubin", "-in", file, "-outform", "DER", about="the key must be an Ed25519 public key")
    if len(der) != _LENGTH or not der.startswith(_HEAD):
        raise Refusal("the key must be an Ed25519 key; fix: `openssl genpkey -algorithm ed25519 -out KEY`")
    return hashlib.sha256(der[-32:]).hexdigest()


def sign(path: Path, message: bytes) -> bytes:
    """The signature of a message by a signing key."""
    with tempfile.TemporaryDirectory() as folder:
        file = _kept(folder, "message", message)
        return _openssl(
            "pkeyutl", "-sign", "-rawin", "-inkey", path, "-passin", "pass:", "-in", file,
            about=f"{path} must be an Ed25519 signing key",
        )  # fmt: skip


def fits(pem: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature of a message is that of a public key."""
    key_id(pem)
    with tempfile.TemporaryDirectory() as folder:
        key, signed, file = (_kept(folder, *each) for each in (("k", pem), ("s", signature), ("m", message)))
        done = _run("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-sigfile", signed, "-in", file)
    return done.returncode == 0


def _kept(folder: str, name: str, content: bytes) -> Path:
    file = Path(folder) / name
    file.write_bytes(content)
    return file


def _openssl(*words: str | Path, about: str) -> bytes:
    done = _run(*words)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Refusal(
            f"{about} in PEM, without a password ({said[0] if said else 'OpenSSL refused it'}); "
            "fix: `openssl genpkey -algorithm ed25519 -out KEY` makes a signing key"
        )
    return done.stdout


def _run(*words: str | Path) -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which("openssl")
    if program is None:
        raise Refusal("signatures need the program `openssl`, version 3; fix: install it, or leave the key away")
    return subprocess.run(
        [program, *map(str, words)], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_WAIT_S
    )
