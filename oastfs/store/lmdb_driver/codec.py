"""Rows as bytes: keys in an encoding whose byte order is the tables' order, values as MessagePack arrays.

An ID is 8 bytes, big-endian. A TEXT is UTF-8, whose byte order is the order of code points; in the last
column it is raw, in earlier ones NUL ends it, so that no text is a prefix of what follows it. A text that
is the whole key is ended as well, since LMDB has no empty keys.
Each function here is made once for a table and then called for every row: they are closures over
prepared C functions, because a layer more costs as much as the work itself. They trust their arguments as
far as the bytes come out right; ``store/keys.py`` names what is wrong with the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from oastfs.store.keys import Columns
from oastfs.store.table import Column, Key

try:
    from oastfs.store.lmdb_driver import _rows as compiled
except ImportError:  # there was no C compiler
    compiled = None  # type: ignore[assignment]

_COLUMNS_MAX = 8
"""Of keys that are encoded in C."""

END: bytes = b"\xff" * 512
"""Sorts after every key: LMDB's keys are at most 511 bytes long."""

_ID = struct.Struct(">Q")
_encode_value = msgspec.msgpack.Encoder().encode


def value_codec(kind: type[Any]) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """Encoder and decoder of a value struct."""
    return _encode_value, msgspec.msgpack.Decoder(kind).decode


def key_encoder(columns: Columns) -> Callable[[Any], bytes]:
    """From a whole key, a tuple or a list, to its bytes."""
    if compiled is not None and len(columns) <= _COLUMNS_MAX:
        return compiled.KeyEncoder(tuple(column for _, column in columns))
    return key_encoder_in_python(columns)


def key_encoder_in_python(columns: Columns) -> Callable[[Any], bytes]:
    """``key_encoder`` without a C compiler."""
    shape = tuple(column for _, column in columns)
    if Column.TEXT not in shape:
        pack_all = struct.Struct(f">{len(shape)}Q").pack
        return lambda key: pack_all(*key)
    if shape == (Column.TEXT,):

        def encode_text(key: tuple[str]) -> bytes:
            (text,) = key
            return text.encode() + b"\0"

        return encode_text
    if shape == (Column.ID, Column.TEXT):
        pack = _ID.pack

        def encode_id_text(key: tuple[int, str]) -> bytes:
            first, text = key
            return pack(first) + text.encode()

        return encode_id_text
    if shape == (Column.TEXT, Column.ID):
        pack = _ID.pack

        def encode_text_id(key: tuple[str, int]) -> bytes:
            text, last = key
            return text.encode() + b"\0" + pack(last)

        return encode_text_id
    if shape == (Column.ID, Column.TEXT, Column.ID):
        pack = _ID.pack

        def encode_id_text_id(key: tuple[int, str, int]) -> bytes:
            first, text, last = key
            return b"".join((pack(first), text.encode(), b"\0", pack(last)))

        return encode_id_text_id
    return lambda key: encode_prefix(columns, key)


def key_decoder(columns: Columns) -> Callable[[bytes], Any]:
    """From the bytes of a key to its values."""
    shape = tuple(column for _, column in columns)
    if Column.TEXT not in shape:
        return struct.Struct(f">{len(shape)}Q").unpack
    if shape == (Column.TEXT,):
        return lambda raw: (raw[:-1].decode(),)
    if shape == (Column.ID, Column.TEXT):
        unpack_from = _ID.unpack_from
        return lambda raw: (unpack_from(raw)[0], raw[8:].decode())
    return lambda raw: _decode(shape, raw)


def encode_prefix(columns: Columns, values: Key) -> bytes:
    """The bytes with which the keys of these first column values begin (a whole key: its bytes)."""
    if len(values) == 1 and columns[0][1] is Column.ID:
        return _ID.pack(values[0])
    raw_at = len(columns) - 1 or -1
    parts: list[bytes] = []
    for position, value in enumerate(values):
        if columns[position][1] is Column.ID:
            parts.append(_ID.pack(value))
        else:
            text = str.encode(value)  # type: ignore[arg-type]
            parts.append(text if position == raw_at else text + b"\0")
    return b"".join(parts)


def after_prefix(prefix: bytes) -> bytes:
    """The first possible key after all those that begin with ``prefix``."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else END


def _decode(shape: tuple[Column, ...], raw: bytes) -> Key:
    values: list[int | str] = []
    at = 0
    last = len(shape) - 1
    for position, column in enumerate(shape):
        if column is Column.ID:
            values.append(_ID.unpack_from(raw, at)[0])
            at += 8
        else:
            end = len(raw) if position == last else raw.index(b"\0", at)
            values.append(raw[at:end].decode())
            at = end + 1
    return tuple(values)
