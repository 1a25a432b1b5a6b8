"""What is compiled of checksums gives the plain definition's, at every size and alignment."""

from __future__ import annotations

import threading
from typing import Any

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks

compiled: Any = pytest.importorskip("oastfs.wire.transfer._checksums")


def plainly(size: int, data: bytes) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(google_crc32c.value(piece).to_bytes(4, "big") for piece in pieces)


@given(st.integers(1, 70) | st.sampled_from([512, 513, 4096]), st.binary(max_size=9000), st.integers(0, 9))
def test_all_sizes_and_alignments(size: int, data: bytes, skip: int) -> None:
    view = memoryview(data)[skip:]
    assert compiled.crc32c_chunks(size, view) == plainly(size, bytes(view))


@pytest.mark.parametrize("length", [32 * 1024 - 1, 32 * 1024, (1 << 20) + 3, 5 * 512 * 129])
def test_long_buffers_without_the_lock(length: int) -> None:
    data = bytes(range(251)) * (length // 251 + 1)
    data = data[:length]
    assert compiled.crc32c_chunks(512, bytearray(data)) == plainly(512, data)


def test_chunks_of_no_bytes_are_refused() -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match="at least one byte"):
            compiled.crc32c_chunks(size, b"abc")
    with pytest.raises(TypeError):
        compiled.crc32c_chunks(512, "text")
    assert compiled.crc32c_chunks(512, b"") == b""


def test_it_is_what_the_protocol_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()

    class Watched:
        @staticmethod
        def crc32c_chunks(size: int, data: bytes) -> bytes:
            seen.set()
            return bytes(compiled.crc32c_chunks(size, data))

    monkeypatch.setattr("oastfs.wire.transfer.checksum._checksums", Watched)
    assert checksum_chunks(ChecksumKind.CRC32C, 512, b"123456789") == bytes.fromhex("e3069283")
    assert seen.is_set()
