"""The native protocol: the verbs of ``core.metadata.Metadata`` as MessagePack, by their annotations.

Protocol name ``oastfs.Metadata``, method name the verb. A call's body is the array of its arguments, the
caller first; an answer's body is the result. A peer may leave out trailing arguments that have
defaults. Errors travel as ``oastfs.`` and their class in ``core.errors``; the message is followed by
NUL and the path, if the error has one.
"""

from __future__ import annotations

import inspect
from typing import Any, Final, get_type_hints

import msgspec
from msgspec.structs import astuple

from oastfs.core.errors import InvalidArgument, NotUtf8, OastError, ProtocolError, all_errors
from oastfs.core.metadata import Metadata

PROTOCOL: Final = "oastfs.Metadata"
ERROR_PREFIX: Final = "oastfs."

AT_MOST_ONCE: Final = frozenset(
    {
        "abandon_block",
        "append",
        "concat",
        "create",
        "delete",
        "link",
        "mkdirs",
        "mknod",
        "remove_xattr",
        "rename",
        "rmdir",
        "set_lock",
        "set_xattr",
        "symlink",
        "unlink",
        "write_file",
        "write_inline",
        "write_many",
    }
)
"""Verbs that, carried out a second time, could fail or undo what another caller did in between. Their
answers are kept for clients that ask again; all others may simply be repeated (what is done to blocks is
guarded by their generation stamps)."""

_encode = msgspec.msgpack.Encoder().encode


class Verb:
    """Encoding of one verb, derived at its first use: a command uses few of them."""

    __slots__ = ("_argument_names", "_arguments", "_result", "at_most_once", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.at_most_once = name in AT_MOST_ONCE
        self._argument_names: list[str] = []
        self._arguments: msgspec.msgpack.Decoder[Any] | None = None
        self._result: msgspec.msgpack.Decoder[Any] | None = None

    def decode_arguments(self, body: bytes | memoryview) -> tuple[Any, ...]:
        """(caller, arguments...), defaults filled in. Raises InvalidArgument for wrong types."""
        decoder = self._arguments or self._derive_arguments()
        try:
            return astuple(decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{self.name}: {self._explain(str(error))}") from None

    def decode_result(self, body: bytes | memoryview) -> Any:
        """The result in an answer. Raises ProtocolError."""
        decoder = self._result or self._derive_result()
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"undecodable answer to {self.name}: {error}") from None

    def _derive_arguments(self) -> msgspec.msgpack.Decoder[Any]:
        method = getattr(Metadata, self.name)
        hints = get_type_hints(method)
        parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
        fields: list[Any] = [
            (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
            for p in parameters
        ]
        arguments = msgspec.defstruct(
            f"{self.name}_arguments", fields, array_like=True, forbid_unknown_fields=True, gc=False
        )
        self._argument_names = [p.name for p in parameters]
        decoder = self._arguments = msgspec.msgpack.Decoder(arguments)
        return decoder

    def _derive_result(self) -> msgspec.msgpack.Decoder[Any]:
        hints = get_type_hints(getattr(Metadata, self.name))
        decoder = self._result = msgspec.msgpack.Decoder(hints["return"])
        return decoder

    def _explain(self, problem: str) -> str:
        """msgspec names an argument by its position; people know it by its name."""
        for position, name in enumerate(self._argument_names):
            problem = problem.replace(f"$[{position}]", name, 1)
        return problem.replace("`", "'")


def encode_arguments(values: tuple[Any, ...]) -> bytes:
    """(caller, arguments...) as a call's body. Raises NotUtf8 or InvalidArgument."""
    try:
        return _encode(values)
    except UnicodeEncodeError as error:
        raise NotUtf8("a name must be valid UTF-8", path=ascii(error.object)) from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise InvalidArgument(f"an argument cannot be sent: {error}") from None


encode_result = _encode
"""A result as an answer's body."""

VERBS: Final[dict[str, Verb]] = {
    name: Verb(name)
    for name, member in vars(Metadata).items()
    if inspect.isfunction(member) and not name.startswith("_") and name not in ("call", "close")
}


def encode_error(error: OastError) -> tuple[str, str]:
    """(exception class, message) of an answer."""
    path = error.filename
    return ERROR_PREFIX + type(error).__name__, error.message if path is None else f"{error.message}\0{path}"


_ERRORS: Final = all_errors()


def decode_error(exception_class: str, message: str) -> OastError:
    """The error that a server told of. Classes that are not known here become OastError."""
    text, _, path = message.partition("\0")
    kind = _ERRORS.get(exception_class.removeprefix(ERROR_PREFIX))
    if kind is None or not exception_class.startswith(ERROR_PREFIX):
        return OastError(f"{exception_class}: {text}")
    return kind(text, path=path or None)
