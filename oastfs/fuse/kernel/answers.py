"""What handlers of the kernel's requests are told and answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oastfs.fuse.effects import Operation

Who = tuple[int, int, int]
"""uid, gid and pid of the caller."""


class Later:
    """An answer that comes some time after the request's operation has ended, an errno or 0.

    ``begin`` is told of the kernel's number for the request, and how to answer it.
    """

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[int, Callable[[int], None]], None]) -> None:
        self.begin = begin


class AfterDropping:
    """The body of an answer that is to be given once the kernel has dropped a range of a file's pages."""

    __slots__ = ("answer", "inode_id", "length", "offset")

    def __init__(self, answer: bytes, inode_id: int, offset: int, length: int) -> None:
        self.answer = answer
        self.inode_id = inode_id
        self.offset = offset
        self.length = length


Answer = bytes | int | Later | AfterDropping | None
"""The body of the answer, or an errno (what is to be expected needs no exception). None: the kernel expects
no answer at all."""
Body = bytes | memoryview
"""The body of a request; a view of the reader's buffer, for the moment, if it is written content."""
Handler = Callable[[int, Any, Who], "Answer | Operation[Answer]"]
