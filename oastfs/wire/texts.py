"""Text fields of messages that came from outside.

Protobuf's second syntax lets any bytes pass as text; in Python what is not UTF-8 then turns up as bytes where
the annotations say ``str``. A message is checked once, where it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from oastfs.core.errors import ProtocolError

Check = Callable[[Any], None]


def check_texts(message: Message) -> None:
    """Raise ProtocolError if a text in the message, at any depth, is not UTF-8."""
    for check in checks_of(message.DESCRIPTOR):
        check(message)


@lru_cache(maxsize=1024)
def checks_of(descriptor: Descriptor, apart: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """What ``check_texts`` does for a kind of message: one for each field that is a text or may hold one.

    Those named ``apart`` are left out, for who looks at them himself.
    """
    found = []
    for field in descriptor.fields:
        if field.name in apart:
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            found.append(_texts(field.name) if field.is_repeated else _text(field.name))
        elif field.type == FieldDescriptor.TYPE_MESSAGE and _has_texts(field.message_type, ()):
            found.append(_messages(field.name) if field.is_repeated else _message(field.name))
    return tuple(found)


def _has_texts(descriptor: Descriptor | None, above: tuple[Descriptor, ...]) -> bool:
    return (
        descriptor is not None
        and descriptor not in above
        and any(
            field.type == FieldDescriptor.TYPE_STRING
            or (
                field.type == FieldDescriptor.TYPE_MESSAGE
                and _has_texts(field.message_type, (*above, descriptor))
            )
            for field in descriptor.fields
        )
    )


def _text(name: str) -> Check:
    def check(message: Any) -> None:
        if type(getattr(message, name)) is not str:
            raise ProtocolError(f"{name} is not UTF-8")

    return check


def _texts(name: str) -> Check:
    def check(message: Any) -> None:
        if not all(type(text) is str for text in getattr(message, name)):
            raise ProtocolError(f"one of {name} is not UTF-8")

    return check


def _message(name: str) -> Check:
    def check(message: Any) -> None:
        if message.HasField(name):
            check_texts(getattr(message, name))

    return check


def _messages(name: str) -> Check:
    def check(message: Any) -> None:
        for one in getattr(message, name):
            check_texts(one)

    return check
