"""Cases: a scan archive as people keep it (packed, renamed, of another format), from the file to rows or a refusal."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from reactor.log.container import zstd
from tests.integration import records
from tests.integration.soaking import violet

LINES = b"".join(records.scan(n, ts_ms=1_746_835_200_000 + 60_000 * n, vel_div=-0.04) + b"\n" for n in range(1, 6))


def zipped(body):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("scans.jsonl", body)
    return file.getvalue()


PACK = {
    "scans.jsonl.gz": gzip.compress(LINES),
    "renamed.jsonl": gzip.compress(LINES),
    "scans.jsonl.bz2": bz2.compress(LINES),
    "scans.jsonl.xz": lzma.compress(LINES),
    "scans.zip": zipped(LINES),
    "plain.jsonl.zst": LINES,
    "scans.jsonl.zst": zstd.compress(LINES),
    "with-a-byte-order-mark.jsonl": b"\xef\xbb\xbf" + LINES,
}
OTHERS = {
    "bars.parquet": (b"PAR1 and the rest", "is Parquet, a scan archive is JSON lines; fix: `violet scan --klines` reads bars"),
    "bars.csv": (b"symbol,close\nBTCUSDT,1\n", "is CSV, a scan archive is JSON lines; fix: `violet scan --klines` reads bars"),
    "bars.csv.gz": (gzip.compress(b"symbol,close\nBTCUSDT,1\n"), "is CSV, a scan archive is JSON lines; fix: "),
    "BTC_USDT-1m.feather": (b"ARROW1\x00\x00", "is Feather (Arrow), a scan archive is JSON lines; fix: "),
    "scans.json": (b"[" + LINES.strip().replace(b"\n", b",") + b"]", "is an array of JSON, a scan archive is JSON lines; fix: "),
    "trades.sqlite": (b"SQLite format 3\x00", "is an SQLite database, a scan archive is JSON lines; fix: "),
    "half.jsonl.gz": (gzip.compress(LINES)[:-20], "cannot be read (Compressed file ended before"),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(journal, tmp_path_factory):
    """The content hash of the archive as it is, unpacked."""
    path = tmp_path_factory.mktemp("plain") / "scans.jsonl"
    path.write_bytes(LINES)
    return journal.soak(scans=path).hash


@pytest.mark.parametrize("name", PACK)
def test_a_packed_archive_is_soaked_as_its_content_is(journal, plain, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PACK[name])
    soaked = journal.soak(scans=path)
    assert (soaked.summary["decisions"], soaked.summary["rejects"], soaked.hash) == (5, 0, plain)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_archive_leaves_no_run(journal, tmp_path, name):
    path, run = tmp_path / name, f"refused-{name}"
    path.write_bytes(OTHERS[name][0])
    said = journal.violet("soak", "--scans", path, "--name", run)
    assert (said.code, said.out) == (3, "")
    assert OTHERS[name][1] in said.err
    assert said.err.count("\n") == 1
    assert journal.run(run) is None


@pytest.mark.parametrize("name", ["scans.jsonl.gz", *OTHERS])
def test_publish_fills_a_topic_with_the_content_or_makes_none(tansu, tmp_path, name):
    path, topic = tmp_path / name, f"case-{name}"
    path.write_bytes(PACK[name] if name in PACK else OTHERS[name][0])
    said = violet("publish", "--scans", path, "--bootstrap-servers", tansu.bootstrap, "--topic", topic, "--json")
    if name in PACK:
        assert (said.code, said.json["published"]) == (0, 5)
        return
    assert said.code == 3
    assert OTHERS[name][1] in said.err
    assert topic not in tansu.admin().list_topics(timeout=10).topics


@pytest.mark.parametrize("body", [b"PAR1 and the rest", gzip.compress(LINES, mtime=0)[:-9], b"{}\n"])
def test_a_run_whose_archive_became_another_file_is_verified_from_what_is_stored(journal, tmp_path, body):
    path = tmp_path / "scans.jsonl"
    path.write_bytes(LINES)
    soaked = journal.soak(scans=path)
    path.write_bytes(body)
    said = journal.violet("verify", soaked.run_id, "--json")
    assert (said.json["content_hash"], said.json["decisions"]) == (soaked.hash, 5)
