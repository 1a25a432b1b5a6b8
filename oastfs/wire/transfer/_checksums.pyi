"""CRC32C of chunks by the processor's instruction (C; ``checksum.py`` has it in Python)."""

from oastfs.wire.transfer.checksum import Buffer

def crc32c_chunks(bytes_per_checksum: int, data: Buffer, /) -> bytes:
    """The CRC32C of each chunk, 4 bytes each, big-endian; the last chunk may be short.

    Raises ValueError for chunks of no bytes.
    """
