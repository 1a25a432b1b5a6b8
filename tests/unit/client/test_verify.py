"""Checksums of a range that begins and ends inside of chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oastfs.client.blocks.verify import matches
from oastfs.wire.transfer import ChecksumKind, checksum_chunks

CHUNK = 16


@given(st.data())
def test_a_range_matches_the_checksums_of_its_chunks(data: st.DataObject) -> None:
    stored = data.draw(st.binary(min_size=1, max_size=100))
    start = data.draw(st.integers(0, len(stored) - 1))
    end = data.draw(st.integers(start + 1, len(stored)))
    first = start - start % CHUNK
    last = min(end + -end % CHUNK, len(stored))
    sums = checksum_chunks(ChecksumKind.CRC32C, CHUNK, stored[first:last])
    target = bytearray(stored[start:end])
    parts = (stored[first:start], memoryview(target), stored[end:last])
    assert matches(*parts, sums, ChecksumKind.CRC32C, CHUNK)
    damaged = data.draw(st.integers(0, len(target) - 1))
    target[damaged] ^= 1 << data.draw(st.integers(0, 7))
    assert not matches(*parts, sums, ChecksumKind.CRC32C, CHUNK)


def test_missing_checksums_are_a_mismatch() -> None:
    target = memoryview(bytearray(40))
    sums = checksum_chunks(ChecksumKind.CRC32C, CHUNK, target)
    assert matches(b"", target, b"", sums, ChecksumKind.CRC32C, CHUNK)
    assert not matches(b"", target, b"", sums[:-4], ChecksumKind.CRC32C, CHUNK)
