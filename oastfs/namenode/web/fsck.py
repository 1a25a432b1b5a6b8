"""The page behind Hadoop's ``hdfs fsck``: files, blocks and replicas, in the words that the tool waits for.

It shows what a user may see by ClientProtocol. `oastfs fsck` is the one that checks the store itself.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from oastfs.core.errors import OastError
from oastfs.core.inline_blocks import is_hole, is_inline
from oastfs.namenode.hdfs.errors import describe
from oastfs.namenode.web.operations import Calls
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import WebRequest

_IS_DIR: Final = types.HdfsFileStatus.IS_DIR
_IS_SYMLINK: Final = types.HdfsFileStatus.IS_SYMLINK
_NOTHING_CODED: Final = """
Erasure Coded Block Groups:
 Total size:	0 B
 Total files:	0
 Total block groups (validated):	0
 Minimally erasure-coded block groups:	0
 Over-erasure-coded block groups:	0
 Under-erasure-coded block groups:	0
 Unsatisfactory placement block groups:	0
 Average block group size:	0.0
 Missing block groups:		0
 Corrupt block groups:		0
 Missing internal blocks:	0
 Blocks queued for replication:	0
"""


def report(asked: WebRequest, calls: Calls, user: str, client: str) -> Iterator[str]:
    """The page, piece by piece."""
    path, began = asked.text("path") or "/", time.monotonic()
    yield f"FSCK started by {user} (auth:SIMPLE) from /{client} for path {path} at {_now()}\n"
    try:
        if asked.text("move") or asked.text("delete"):
            raise OastError("this check neither moves nor removes files")
        if asked.text("blockid"):
            raise OastError("blocks are not looked up by their ids here: oastfs fsck checks all of them")
        answer = calls("getFileInfo", pb.GetFileInfoRequest(src=path), pb.GetFileInfoResponse)
        if not answer.HasField("fs"):
            yield f"\n\nPath '{path}' does not exist"
        elif asked.text("listcorruptfileblocks"):
            yield from _missing(asked, calls, path, answer.fs)
        else:
            yield "\n"
            check = _Check(asked, calls)
            yield from check.walk(path, answer.fs)
            yield check.summary()
            yield f"FSCK ended at {_now()} in {_elapsed_ms(began)} milliseconds\n\n\n"
            state = "CORRUPT" if check.totals.missing else "HEALTHY"
            yield f"The filesystem under path '{path}' is {state}"
    except OastError as error:
        ended = f"FSCK ended at {_now()} in {_elapsed_ms(began)} milliseconds"
        yield f"{ended}\n{describe(error)[1]}\n\n\nFsck on path '{path}' FAILED"


def _missing(asked: WebRequest, calls: Calls, path: str, status: types.HdfsFileStatus) -> Iterator[str]:
    """Blocks without a replica, all at once: who asks for more of them gets none."""
    if asked.text("startblockafter"):
        yield f"\n\nThe filesystem under path '{path}' has no more CORRUPT files\n\n"
        return
    check = _Check(asked, calls)
    for _ in check.walk(path, status):
        pass
    lines = [f"blk_{block_id}\t{file}\n" for block_id, file in check.missing_blocks]
    yield f"Cookie:\t{len(lines)}\n{''.join(lines)}\n\n"
    count = f"{len(lines)} CORRUPT files" if lines else "no CORRUPT files"
    yield f"The filesystem under path '{path}' has {count}\n\n"


@dataclass
class _Totals:
    """What is counted on the way."""

    directories: int = 0
    symlinks: int = 0
    files: int = 0
    size: int = 0
    blocks: int = 0
    live: int = 0
    expected: int = 0
    lacking: int = 0
    under: int = 0
    over: int = 0
    missing: int = 0
    missing_files: int = 0
    missing_size: int = 0
    open_files: int = 0
    open_size: int = 0
    open_blocks: int = 0


class _Check:
    """One walk over a tree."""

    def __init__(self, asked: WebRequest, calls: Calls) -> None:
        self._calls = calls
        self._files = bool(asked.text("files"))
        self._blocks = bool(asked.text("blocks"))
        self._open = bool(asked.text("openforwrite"))
        self._show = _replica_format(asked)
        self.totals = _Totals()
        self.missing_blocks: list[tuple[int, str]] = []

    def walk(self, path: str, status: types.HdfsFileStatus) -> Iterator[str]:
        """What there is to say of each file below ``path``, in its order."""
        if status.fileType == _IS_SYMLINK:
            self.totals.symlinks += 1
            if self._files:
                yield f"{path} <symlink>\n"
            return
        if status.fileType != _IS_DIR:
            for one in self._page(path, b"").partialListing:
                yield self._file(path, one)
            return
        self.totals.directories += 1
        if self._files:
            yield f"{path} <dir>\n"
        after, left = b"", 1
        while left:
            page = self._page(path, after)
            for one in page.partialListing:
                below = f"{path.rstrip('/')}/{one.path.decode('utf-8', 'replace')}"
                if one.fileType in (_IS_DIR, _IS_SYMLINK):
                    yield from self.walk(below, one)
                else:
                    yield self._file(below, one)
                after = one.path
            left = page.remainingEntries

    def _page(self, path: str, after: bytes) -> types.DirectoryListing:
        request = pb.GetListingRequest(src=path, startAfter=after, needLocation=True)
        return self._calls("getListing", request, pb.GetListingResponse).dirList

    def _file(self, path: str, status: types.HdfsFileStatus) -> str:
        totals, blocks = self.totals, list(status.locations.blocks)
        is_open = status.locations.underConstruction
        if is_open and not self._open:
            totals.open_files += 1
            totals.open_size += status.length
            totals.open_blocks += len(blocks)
            return ""
        totals.files += 1
        totals.size += status.length
        head = ""
        if self._files or (self._open and is_open):
            kind = f"replicated: replication={status.block_replication}"
            opened = ", OPENFORWRITE" if is_open else ""
            head = f"{path} {status.length} bytes, {kind}, {len(blocks)} block(s){opened}: "
        found, lines, lost = "", "", 0
        for number, block in enumerate(blocks):
            problem, line = self._block(path, block, status.block_replication)
            found += problem
            lines += f"{number}. {line}\n"
            lost += block.b.numBytes if not block.locs else 0
        count = sum(not block.locs for block in blocks)
        if count:
            totals.missing_files += 1
            totals.missing_size += lost
            what = f"MISSING {count} blocks of total size {lost} B"
            found += f" {what}\n" if head else f"\n{path}: {what}."
        text = head + (found or (" OK\n" if head else ""))
        return text + (f"{lines}\n" if head and self._blocks else "")

    def _block(self, path: str, block: types.LocatedBlock, target: int) -> tuple[str, str]:
        """(what is wrong with a block, its line)."""
        totals = self.totals
        name = f"{block.b.poolId}:blk_{block.b.blockId}_{block.b.generationStamp}"
        totals.blocks += 1
        if is_inline(block.b.blockId) or is_hole(block.b.blockId):
            # Kept by the metadata store, which sees to its own copies.
            totals.live += target
            totals.expected += target
            return "", f"{name} len={block.b.numBytes} Live_repl={target}  [metadata]"
        live = len(block.locs)
        totals.live += live
        totals.expected += target
        totals.over += live > target
        if not live:
            totals.missing += 1
            self.missing_blocks.append((block.b.blockId, path))
            return "", f"{name} len={block.b.numBytes} MISSING!"
        problem = ""
        if live < target:
            totals.under += 1
            totals.lacking += target - live
            problem = (
                f" Under replicated {name}. Target Replicas is {target} but found {live} live replica(s), "
                "0 decommissioned replica(s), 0 decommissioning replica(s).\n"
            )
            problem = problem if self._files else f"\n{path}: {problem}"
        return problem, f"{name} len={block.b.numBytes} Live_repl={live}{self._show(block)}"

    def summary(self) -> str:
        """The figures at the end."""
        totals = self.totals
        nodes = self._live_nodes()
        answer = self._calls("getServerDefaults", pb.GetServerDefaultsRequest(), pb.GetServerDefaultsResponse)
        opened = (
            (
                f" (Total open files size: {totals.open_size} B)",
                f" (Files currently being written: {totals.open_files})",
                f" (Total open file blocks (not validated): {totals.open_blocks})",
            )
            if totals.open_files
            else ("", "", "")
        )
        average = f" (avg. block size {totals.size // totals.blocks} B)" if totals.blocks else ""
        replication = totals.live / totals.blocks if totals.blocks else 0.0
        lacking = _share(totals.lacking, totals.expected)
        lines = [
            f"\nStatus: {'CORRUPT' if totals.missing else 'HEALTHY'}",
            f" Number of data-nodes:\t{len(nodes)}",
            f" Number of racks:\t\t{len(set(nodes.values()))}",
            f" Total dirs:\t\t\t{totals.directories}",
            f" Total symlinks:\t\t{totals.symlinks}",
            "\nReplicated Blocks:",
            f" Total size:\t{totals.size} B{opened[0]}",
            f" Total files:\t{totals.files}{opened[1]}",
            f" Total blocks (validated):\t{totals.blocks}{average}{opened[2]}",
            *self._alarm(),
            f" Minimally replicated blocks:\t{_of(totals.blocks - totals.missing, totals.blocks)}",
            f" Over-replicated blocks:\t{_of(totals.over, totals.blocks)}",
            f" Under-replicated blocks:\t{_of(totals.under, totals.blocks)}",
            f" Mis-replicated blocks:\t\t{_of(0, totals.blocks)}",
            f" Default replication factor:\t{answer.serverDefaults.replication}",
            f" Average block replication:\t{java_float(replication)}",
            f" Missing blocks:\t\t{totals.missing}",
            " Corrupt blocks:\t\t0",
            f" Missing replicas:\t\t{totals.lacking}{lacking}",
            " Blocks queued for replication:\t0",
        ]
        return "\n".join(lines) + "\n" + _NOTHING_CODED

    def _alarm(self) -> list[str]:
        totals = self.totals
        if not totals.missing:
            return []
        stars = "  ********************************"
        return [
            stars,
            f"  UNDER MIN REPL'D BLOCKS:\t{_of(totals.missing, totals.blocks)}",
            "  MINIMAL BLOCK REPLICATION:\t1",
            f"  CORRUPT FILES:\t{totals.missing_files}",
            f"  MISSING BLOCKS:\t{totals.missing}",
            f"  MISSING SIZE:\t\t{totals.missing_size} B",
            stars,
        ]

    def _live_nodes(self) -> dict[str, str]:
        """Racks of the live datanodes, by their addresses."""
        request = pb.GetDatanodeReportRequest(type=pb.LIVE)
        nodes = self._calls("getDatanodeReport", request, pb.GetDatanodeReportResponse).di
        return {f"{one.id.ipAddr}:{one.id.xferPort}": one.location for one in nodes}


def _replica_format(asked: WebRequest) -> Callable[[types.LocatedBlock], str]:
    """How the replicas of a block are shown, as the request's options say."""

    def racks(block: types.LocatedBlock) -> list[str]:
        return [f"{one.location}/{one.id.ipAddr}:{one.id.xferPort}" for one in block.locs]

    def places(block: types.LocatedBlock) -> list[str]:
        state = "(LIVE)" if asked.text("replicadetails") else ""
        kinds = [types.StorageType.Name(kind) for kind in block.storageTypes]
        return [
            f"DatanodeInfoWithStorage[{one.id.ipAddr}:{one.id.xferPort},{storage},{kind}]{state}"
            for one, storage, kind in zip(block.locs, block.storageIDs, kinds, strict=True)
        ]

    if asked.text("racks"):
        return lambda block: f"  [{', '.join(racks(block))}]"
    if asked.text("locations") or asked.text("replicadetails"):
        return lambda block: f"  [{', '.join(places(block))}]"
    return lambda block: ""


def java_float(value: float) -> str:
    """A number as Java prints a float: the shortest digits that single precision tells apart."""
    (single,) = struct.unpack("f", struct.pack("f", value))
    for digits in range(1, 10):
        text = f"{single:.{digits}g}"
        if struct.unpack("f", struct.pack("f", float(text)))[0] == single:
            break
    plain = f"{Decimal(text):f}"
    return plain if "." in plain else f"{plain}.0"


def _share(part: int, whole: int) -> str:
    return f" ({java_float(part * 100 / whole)} %)" if whole else ""


def _of(part: int, whole: int) -> str:
    return f"{part}{_share(part, whole)}"


def _now() -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y")


def _elapsed_ms(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
