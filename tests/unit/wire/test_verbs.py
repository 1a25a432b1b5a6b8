"""Verbs derived from annotations: all of them, their defaults, wrong types and errors."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from oastfs.core import errors
from oastfs.core.errors import InvalidArgument, NotFound, NotUtf8, OastError, ProtocolError
from oastfs.core.metadata import Metadata
from oastfs.core.types import (
    AclEntry,
    AclKind,
    AclScope,
    Caller,
    Fault,
    FileLock,
    FileStatus,
    LockKind,
    LockType,
    RenameMode,
    WriteRequest,
)
from oastfs.wire.verbs import (
    AT_MOST_ONCE,
    VERBS,
    decode_error,
    encode_arguments,
    encode_error,
    encode_result,
)

ALICE = Caller("alice", 1000, (1000, 4))
STATUS = FileStatus(9, 0o100644, 1, 2, 3, 1, 4, 5, 6, 7, 8)


OWN_ERRORS = [kind for kind in errors.all_errors().values() if kind.__module__ == errors.__name__]


class Recorder(Metadata):
    """Sends each call through the encoding and keeps what would arrive."""

    def __init__(self) -> None:
        self.arrived: tuple[Any, ...] = ()

    def call(self, verb: str, caller: Caller, *arguments: Any) -> Any:
        self.arrived = VERBS[verb].decode_arguments(encode_arguments((caller, *arguments)))

    def close(self) -> None:
        pass


def test_every_verb_of_the_interface_is_here() -> None:
    public = {
        name for name, member in vars(Metadata).items() if not name.startswith("_") and callable(member)
    }
    assert set(VERBS) == public - {"call", "close"}
    assert set(VERBS) >= AT_MOST_ONCE


def example(annotation: str) -> Any:
    examples: dict[str, Any] = {
        "str": "/a/b",
        "int": -5,
        "bool": True,
        "bytes": b"\0\xff",
        "list[str]": ["/x", "/y"],
        "list[int]": [1, 2**40],
        "RenameMode": RenameMode.EXCHANGE,
        "list[WriteRequest]": [WriteRequest("/w", b"data")],
        "list[tuple[int, bytes]]": [(0, b"p")],
        "list[tuple[int, int]]": [(1, 2)],
        "list[BlockCommit]": [],
        "list[AclEntry]": [AclEntry(AclScope.DEFAULT, AclKind.GROUP, 9, 5)],
        "FileLock": FileLock(LockKind.POSIX, LockType.READ, 2**64 - 1, 7, 5, 2**63 - 1),
        "list[str] | None": None,
        "list[int] | None": [3],
    }
    return examples[annotation]


@pytest.mark.parametrize("name", sorted(VERBS))
def test_arguments_arrive_as_they_were_sent(name: str) -> None:
    parameters = list(inspect.signature(getattr(Metadata, name)).parameters.values())[2:]
    arguments = [example(str(parameter.annotation)) for parameter in parameters]
    recorder = Recorder()
    getattr(recorder, name)(ALICE, *arguments)
    assert recorder.arrived == (ALICE, *arguments)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_older_clients_may_leave_out_what_has_defaults(name: str) -> None:
    parameters = list(inspect.signature(getattr(Metadata, name)).parameters.values())[2:]
    required = [p for p in parameters if p.default is p.empty]
    arguments = [example(str(p.annotation)) for p in required]
    decoded = VERBS[name].decode_arguments(encode_arguments((ALICE, *arguments)))
    defaults = [p.default for p in parameters[len(required) :]]
    assert decoded == (ALICE, *arguments, *defaults)
    if required:
        with pytest.raises(InvalidArgument, match="at least length"):
            VERBS[name].decode_arguments(encode_arguments((ALICE, *arguments[:-1])))


def test_unknown_arguments_are_refused_not_ignored() -> None:
    with pytest.raises(InvalidArgument, match=r"^stat: .*at most length 3, got 4"):
        VERBS["stat"].decode_arguments(encode_arguments((ALICE, "/a", True, "new")))


def test_wrong_types_name_the_argument() -> None:
    with pytest.raises(InvalidArgument, match=r"^stat: Expected 'str', got 'int' - at 'path'$"):
        VERBS["stat"].decode_arguments(encode_arguments((ALICE, 5)))
    with pytest.raises(InvalidArgument, match=r"mkdirs: Expected 'int', got 'str' - at 'mode'"):
        VERBS["mkdirs"].decode_arguments(encode_arguments((ALICE, "/a", "755")))
    with pytest.raises(InvalidArgument, match="caller"):
        VERBS["stat"].decode_arguments(encode_arguments((("alice", "uid"), "/a")))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93", b"\xff" * 40, b"\x93\x93\xa1\xff\x00\x90\xa1/\xc3"])
def test_garbage_is_an_invalid_argument(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^stat: "):
        VERBS["stat"].decode_arguments(body)


def test_deep_nesting_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidArgument):
        VERBS["stat"].decode_arguments(b"\x91" * 200_000)


def test_results() -> None:
    many = [STATUS, Fault("NotFound", "gone")]
    assert VERBS["stat_many"].decode_result(encode_result(many)) == many
    assert VERBS["access"].decode_result(encode_result(None)) is None
    assert VERBS["get_xattrs"].decode_result(encode_result({"user.a": b"1"})) == {"user.a": b"1"}
    with pytest.raises(ProtocolError, match="undecodable answer to stat"):
        VERBS["stat"].decode_result(b"\x91\x05")


def test_what_cannot_be_sent() -> None:
    with pytest.raises(NotUtf8):
        encode_arguments((ALICE, "/a\udcff"))
    with pytest.raises(InvalidArgument):
        encode_arguments((ALICE, 2**70))
    with pytest.raises(InvalidArgument):
        encode_arguments((ALICE, object()))


@pytest.mark.parametrize("kind", OWN_ERRORS)
def test_every_error_comes_back_as_itself(kind: type[OastError]) -> None:
    for original in (kind("what was wrong", path="/some/ path"), kind("what was wrong"), kind()):
        arrived = decode_error(*encode_error(original))
        assert type(arrived) is kind
        assert (arrived.message, arrived.filename, str(arrived)) == (
            original.message,
            original.filename,
            str(original),
        )


def test_unknown_errors_are_told_as_they_are() -> None:
    for name in ("java.io.IOException", "oastfs.FromTheFuture", "NotFound"):
        error = decode_error(name, "why")
        assert type(error) is OastError
        assert "why" in error.message
    assert isinstance(decode_error("oastfs.NotFound", ""), NotFound)


def test_bodies_are_small() -> None:
    assert len(encode_arguments((ALICE, "/a/b/c/d.txt", True))) <= 30
    assert len(encode_result(STATUS)) < 25
    assert msgspec.msgpack.decode(encode_result(STATUS))[0] == 1  # the tag that tells it from a Fault
