"""WebHDFS's requests and errors, without I/O: what namenodes and datanodes both need of them.

A request is ``/webhdfs/v1/PATH?op=NAME&name=value...``; names of parameters and operations may have any case.
Errors are a JSON object ``RemoteException`` that holds Java's class name, by which clients rebuild them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import msgspec

from oastfs.core.errors import InvalidPath, NotUtf8, OastError
from oastfs.core.path import normalize
from oastfs.wire.webhdfs_parameters import CHECKS

PREFIX: Final = "/webhdfs/v1"
JSON_TYPE: Final = "application/json"
BYTES_TYPE: Final = "application/octet-stream"
DEFAULT_USER: Final = "dr.who"
"""Who asks if nobody says: HDFS's default (hadoop.http.staticuser.user)."""
ILLEGAL_ARGUMENT: Final = "java.lang.IllegalArgumentException"
UNSUPPORTED: Final = "java.lang.UnsupportedOperationException"
FILE_NOT_FOUND: Final = "java.io.FileNotFoundException"

_BAD_REQUESTS: Final = frozenset(
    {
        ILLEGAL_ARGUMENT,
        UNSUPPORTED,
        "java.lang.NumberFormatException",
        "org.apache.hadoop.HadoopIllegalArgumentException",
        "org.apache.hadoop.fs.InvalidPathException",
    }
)
"""IllegalArgumentException, UnsupportedOperationException and what is derived of them."""


class JavaError(OastError):
    """An error as clients of HDFS know it: a Java class and a message."""

    def __init__(self, java_class: str, message: str) -> None:
        super().__init__(message)
        self.java_class = java_class

    def __reduce__(self) -> tuple[object, ...]:
        return (JavaError, (self.java_class, self.message))


def status_of(java_class: str) -> int:
    """The HTTP status that goes with an exception, by what it is derived of in Java."""
    if java_class == FILE_NOT_FOUND:
        return 404
    if java_class in _BAD_REQUESTS:
        return 400
    if java_class.startswith("java.lang.") and java_class != "java.lang.SecurityException":
        return 500
    return 403  # IOException, SecurityException


def encode_error(java_class: str, message: str) -> bytes:
    """The body that tells of an exception."""
    name = java_class.rpartition(".")[2].rpartition("$")[2]
    fields = {"exception": name, "javaClassName": java_class, "message": message}
    return msgspec.json.encode({"RemoteException": fields})


def refuse_scripts(headers: Mapping[str, str]) -> None:
    """Raise for requests that a page in a browser makes, as opposed to a person who follows a link.

    Without authentication any page could otherwise change the files of who looks at it.
    """
    if "Origin" in headers or headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        raise JavaError("java.lang.SecurityException", "requests of scripts in browsers are not served")


class WebRequest:
    """The path and the parameters of a request target. Raises JavaError for what cannot be understood.

    ``check`` comes first; then parameters that are there have values that they may have.
    """

    __slots__ = ("_parameters", "method", "op", "path")

    def __init__(self, method: str, target: str) -> None:
        raw_path, _, query = target.partition("?")
        if not raw_path.startswith(PREFIX):
            raise JavaError(ILLEGAL_ARGUMENT, f"the path of a request begins with {PREFIX}")
        self.method = method
        try:
            text = unquote_to_bytes(raw_path[len(PREFIX) :]).decode()
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
            self.path = normalize(text or "/")
        except UnicodeDecodeError:
            raise JavaError(ILLEGAL_ARGUMENT, "the request is not valid UTF-8") from None
        except (InvalidPath, NotUtf8):
            raise JavaError(
                "org.apache.hadoop.fs.InvalidPathException", f"Invalid path name Invalid file name: {text}"
            ) from None
        except OastError as error:
            raise JavaError(error.java_class, str(error)) from None
        self._parameters: list[tuple[str, str]] = [(name.lower(), value) for name, value in pairs]
        self.op = self.text("op").upper()

    # --- parameters -------------------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        """A parameter; the first, if it is given several times."""
        return next((value for known, value in self._parameters if known == name and value), default)

    def texts(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for known, value in self._parameters if known == name and value]

    def required(self, name: str) -> str:
        """A parameter without which the operation makes no sense."""
        value = self.text(name)
        if not value:
            raise JavaError(ILLEGAL_ARGUMENT, f"Required param {name} for op: {self.op} is null or empty")
        return value

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.text(name)
        return int(value) if value else default

    def flag(self, name: str, default: bool) -> bool:
        """``true`` or ``false``."""
        value = self.text(name)
        return value.lower() == "true" if value else default

    def permission(self, name: str) -> int | None:
        """Octal digits."""
        value = self.text(name)
        return int(value, 8) if value else None

    def names(self, name: str) -> list[str]:
        """Several of a fixed set of names, in capitals."""
        return [one.strip().upper() for one in self.text(name).split(",") if one.strip()]

    @property
    def user(self) -> str:
        """As whom the request is to be carried out.

        Nobody proves who he is, so a proxy (``doas``) is believed like anyone else.
        """
        return self.text("doas") or self.text("user.name") or DEFAULT_USER

    def check(self) -> None:
        """Raise JavaError unless every parameter has a value that it may have."""
        for name, value in self._parameters:
            check = CHECKS.get(name)
            problem = check(name, value) if check is not None and value else ""
            if problem:
                message = f'Invalid value for webhdfs parameter "{name}": {problem}'
                raise JavaError(ILLEGAL_ARGUMENT, message)

    # --- being sent elsewhere ------------------------------------------------------------------------

    def at(self, host: str, port: int, namenode: str) -> str:
        """The same request to a datanode, which is to carry it out by the namenode of that address."""
        where = f"[{host}]" if ":" in host else host
        left_out = ("namenoderpcaddress", "noredirect", "user.name")
        others = [(name, value) for name, value in self._parameters if name not in left_out]
        others += [("user.name", self.text("user.name") or DEFAULT_USER), ("namenoderpcaddress", namenode)]
        return f"http://{where}:{port}{PREFIX}{quote(self.path)}?{urlencode(others)}"
