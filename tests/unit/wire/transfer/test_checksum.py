"""Chunk checksums against the plain definition."""

from __future__ import annotations

import zlib

import google_crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.wire.transfer import checksum
from oastfs.wire.transfer.checksum import (
    ChecksumKind,
    checksum_chunks,
    crc32c,
    extend_by_zeros,
    first_bad_chunk,
    matching_prefix_bytes,
)


def plainly(kind: ChecksumKind, size: int, data: bytes) -> bytes:
    function = google_crc32c.value if kind is ChecksumKind.CRC32C else zlib.crc32
    return b"".join(function(data[at : at + size]).to_bytes(4, "big") for at in range(0, len(data), size))


@pytest.fixture(params=["as installed", "in Python"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is compiled, if that is there, and without it."""
    if request.param == "in Python":
        monkeypatch.setattr(checksum, "_checksums", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([ChecksumKind.CRC32, ChecksumKind.CRC32C]), st.integers(1, 600), st.binary(max_size=3000)
)
@pytest.mark.usefixtures("_either_way")
def test_every_chunk_has_its_checksum(kind: ChecksumKind, size: int, data: bytes) -> None:
    assert checksum_chunks(kind, size, data) == plainly(kind, size, data)
    assert checksum_chunks(kind, size, memoryview(bytearray(data))) == plainly(kind, size, data)


@pytest.mark.usefixtures("_either_way")
def test_many_chunks_and_a_short_last_one() -> None:
    data = bytes(range(256)) * 1031 + b"tail"
    assert checksum_chunks(ChecksumKind.CRC32C, 512, data) == plainly(ChecksumKind.CRC32C, 512, data)


def test_null_has_none() -> None:
    assert checksum_chunks(ChecksumKind.NULL, 512, b"abc") == b""
    assert first_bad_chunk(ChecksumKind.NULL, 512, b"abc", b"") is None


def test_known_crc32c_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"56789", crc32c(b"1234")) == 0xE3069283


def test_first_bad_chunk_is_found() -> None:
    data = bytearray(b"x" * 5000)
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
    assert first_bad_chunk(ChecksumKind.CRC32C, 512, data, memoryview(checksums)) is None
    data[1600] ^= 1
    assert first_bad_chunk(ChecksumKind.CRC32C, 512, data, checksums) == 3


@pytest.mark.parametrize("change", [b"", b"\0\0\0\0"])
def test_missing_or_surplus_checksum_is_a_mismatch(change: bytes) -> None:
    data = b"x" * 1024
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
    wrong = checksums + change if change else checksums[:4]
    assert first_bad_chunk(ChecksumKind.CRC32C, 512, data, wrong) == (2 if change else 1)


@given(st.binary(min_size=1, max_size=512), st.data())
def test_prefix_of_a_chunk_is_found_by_its_checksum(chunk: bytes, data: st.DataObject) -> None:
    covered = data.draw(st.integers(1, len(chunk)))
    found = matching_prefix_bytes(chunk, crc32c(chunk[:covered]).to_bytes(4, "big"))
    assert crc32c(chunk[:found]) == crc32c(chunk[:covered])
    assert found >= covered


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 5000))
def test_zeros_are_added_to_a_crc_without_reading_them(data: bytes, count: int) -> None:
    assert extend_by_zeros(crc32c(data), count) == crc32c(data + bytes(count))


def test_very_many_zeros_are_added_in_parts_or_at_once() -> None:
    at_once = extend_by_zeros(0, 3 << 60)
    assert at_once == extend_by_zeros(extend_by_zeros(0, 1 << 61), 1 << 60)
