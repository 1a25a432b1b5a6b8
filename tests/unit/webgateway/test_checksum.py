"""File checksums equal those that HDFS computed for the same contents and block sizes."""

from __future__ import annotations

import json

from oastfs.webgateway.checksum import file_checksum
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.answers import BlockDigest
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks


def checksum(content: bytes, block_size: int) -> tuple[str, str]:
    digests = []
    for at in range(0, len(content), block_size):
        block = content[at : at + block_size]
        digest = BlockDigest(pb.BlockChecksumOptions())
        digest.add(block, checksum_chunks(ChecksumKind.CRC32C, 512, block))
        answer = pb.BlockOpResponse.FromString(digest.answer()[1:])
        digests.append(answer.checksumResponse)
    fields = json.loads(file_checksum(digests))["FileChecksum"]
    assert fields["length"] == 28 and len(fields["bytes"]) == 64
    return fields["algorithm"], fields["bytes"][:56]


PATTERN = bytes(number % 251 for number in range(300_000))


def test_checksums_that_hdfs_computed() -> None:
    one = ("MD5-of-0MD5-of-512CRC32C", "000002000000000000000000d0b5f41b99a8fb1b2b375ab88053f0d1")
    assert checksum(b"a" * 5000, 1 << 20) == one
    whole = ("MD5-of-0MD5-of-512CRC32C", "000002000000000000000000b6d3a6c9a3e795054c6afb3ac467b6b2")
    assert checksum(PATTERN, 1 << 20) == whole
    in_five = ("MD5-of-128MD5-of-512CRC32C", "000002000000000000000080fde40c57a63c666ee445634485ac4039")
    assert checksum(PATTERN, 65_536) == in_five
    in_many = ("MD5-of-2MD5-of-512CRC32C", "0000020000000000000000023e6489ddbce49c60f19daf8472d4a6aa")
    assert checksum(PATTERN, 1024) == in_many
    nothing = ("MD5-of-0MD5-of-0CRC32", "00000000000000000000000070bc8f4b72a86921468bf8e8441dce51")
    assert checksum(b"", 1024) == nothing
