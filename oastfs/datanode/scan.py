"""Finding a volume's replicas at start, and clearing the litter of interrupted creations and deletions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from oastfs.core.local_files import is_directory
from oastfs.datanode import layout
from oastfs.datanode.journal import Journal
from oastfs.datanode.lending import end_loan
from oastfs.datanode.recovery import settle
from oastfs.datanode.replica import Replica
from oastfs.datanode.volume import Volume

log = structlog.get_logger(__name__)


@dataclass
class _Files:
    """What one directory holds of one block."""

    data_length: int | None = None
    metas: dict[int, int] = field(default_factory=dict)
    """Generation stamp to length of the checksum file."""
    journal: bool = False


def scan_volume(volume: Volume) -> Iterator[Replica]:
    """Every replica of a volume, those being written settled to the length they agree on."""
    for upper in sorted(volume.blocks.iterdir()):
        if is_directory(upper):
            for lower in sorted(upper.iterdir()):
                if is_directory(lower):
                    for block_id, files in sorted(_collect(lower).items()):
                        replica = _replica_of(volume, block_id, files)
                        if replica is not None:
                            yield replica


def _collect(directory: Path) -> dict[int, _Files]:
    found: dict[int, _Files] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if match := layout.META_NAME.fullmatch(name):
                found.setdefault(int(match[1]), _Files()).metas[int(match[2])] = entry.stat().st_size
            elif match := layout.DATA_NAME.fullmatch(name):
                found.setdefault(int(match[1]), _Files()).data_length = entry.stat().st_size
            elif match := layout.JOURNAL_NAME.fullmatch(name):
                found.setdefault(int(match[1]), _Files()).journal = True
            elif layout.OWN_COPY_NAME.fullmatch(name):
                Path(entry.path).unlink()
            else:
                log.warning("not a file of a replica; left alone", path=entry.path)
    return found


def _replica_of(volume: Volume, block_id: int, files: _Files) -> Replica | None:
    if files.data_length is None or (not files.metas and files.journal):
        _clear(volume, block_id, files)
        return None
    if not files.metas:
        log.error("a block has lost its checksums", block_id=block_id, volume=str(volume.path))
        return None
    stamp = max(files.metas)
    replica = Replica(volume, block_id, stamp, files.data_length, final=not files.journal)
    if files.journal:
        return _settled(replica, files)
    if files.metas[stamp] != layout.meta_length(files.data_length):
        log.error("a checksum file has the wrong length", **replica.fields)
        replica.corrupt = True
    return replica


def _settled(replica: Replica, files: _Files) -> Replica | None:
    journal = Journal.load(replica.journal_path)
    try:
        if journal.temporary:
            _clear(replica.volume, replica.block_id, files)
            return None
        end_loan(replica, journal)
        settled = settle(replica.data_path, replica.meta_path, journal)
        journal.set_durable_length(settled.length)
        journal.sync()
    finally:
        journal.close()
    replica.length = replica.visible_length = settled.length
    replica.corrupt = settled.corrupt
    log.info("a replica was being written when the datanode ended", **replica.fields)
    return replica


def _clear(volume: Volume, block_id: int, files: _Files) -> None:
    layout.data_path(volume.blocks, block_id).unlink(missing_ok=True)
    for stamp in files.metas:
        layout.meta_path(volume.blocks, block_id, stamp).unlink(missing_ok=True)
    layout.journal_path(volume.blocks, block_id).unlink(missing_ok=True)
