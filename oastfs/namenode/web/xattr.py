"""Names and values of extended attributes as WebHDFS writes them (XAttrCodec)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import ILLEGAL_ARGUMENT, JavaError

_NAMESPACE = types.XAttr.XAttrNamespace
_NAMESPACES: Final = dict(_NAMESPACE.items())


def parse_name(name: str) -> types.XAttr:
    """An attribute by its full name, such as ``user.color``."""
    prefix, dot, rest = name.partition(".")
    if not dot or prefix.upper() not in _NAMESPACES:
        rule = "An XAttr name must be prefixed with user/trusted/security/system/raw, followed by a '.'"
        raise JavaError("org.apache.hadoop.HadoopIllegalArgumentException", rule)
    return types.XAttr(namespace=_NAMESPACES[prefix.upper()], name=rest)


def full_name(attribute: types.XAttr) -> str:
    """Its name with the prefix."""
    return f"{_NAMESPACE.Name(attribute.namespace).lower()}.{attribute.name}"


def encode_value(value: bytes, encoding: str) -> str:
    """A value as text: in quotes, or after 0x or 0s."""
    if encoding == "hex":
        return "0x" + value.hex()
    if encoding == "base64":
        return "0s" + base64.b64encode(value).decode()
    return f'"{value.decode("utf-8", "replace")}"'


def decode_value(text: str) -> bytes:
    """The other way round; what is neither quoted nor prefixed is text itself."""
    start = text[:2].lower()
    try:
        if start == "0x":
            return bytes.fromhex(text[2:])
        if start == "0s":
            return base64.b64decode(text[2:], validate=True)
    except (ValueError, binascii.Error):
        raise JavaError(
            ILLEGAL_ARGUMENT, f'Invalid value for webhdfs parameter "xattr.value": {text}'
        ) from None
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return text.encode()


def rendered(attributes: Iterable[types.XAttr], encoding: str) -> list[dict[str, str]]:
    """Names and values."""
    return [{"name": full_name(one), "value": encode_value(one.value, encoding)} for one in attributes]
