"""WebHDFS's requests and errors, without I/O: what namenodes and datanodes both need of them.

A request is ``/webhdfs/v1/PATH?op=NAME&name=value...``; names of parameters and operations may have any case.
Errors are a JSON object ``RemoteException`` that holds Java's class name, by which clients rebuild them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import msgspec

from oastfs.core.errors import InvalidPath, NotUtf8, OastError
from oastfs.core.path import normalize

PREFIX: Final = "/webhdfs/v1"
JSON_TYPE: Final = "application/json"
BYTES_TYPE: Final = "application/octet-stream"
DEFAULT_USER: Final = "dr.who"
"""Who asks if nobody says: HDFS's default (hadoop.http.staticuser.user)."""
ILLEGAL_ARGUMENT: Final = "java.lang.IllegalArgumentException"
UNSUPPORTED: Final = "java.lang.UnsupportedOperationException"
FILE_NOT_FOUND: Final = "java.io.FileNotFoundException"
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1
_PERMISSION_MAX: Final = 0o1777

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


class WebRequest:
    """The path and the parameters of a request target. Raises JavaError for what cannot be understood."""

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
                "org.apache.hadoop.fs.InvalidPathException", f"Invalid path name {text}"
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

    def number(self, name: str, default: int, low: int = _LONG_MIN, high: int = _LONG_MAX) -> int:
        """A whole number, within bounds."""
        value = self.text(name)
        if not value:
            return default
        try:
            found = int(value)
        except ValueError:
            raise self._invalid(name, f'Failed to parse "{value}" as a long integer.') from None
        if not low <= found <= high:
            raise self._invalid(name, f"{name} = {found} is not from {low} to {high}.")
        return found

    def flag(self, name: str, default: bool) -> bool:
        """``true`` or ``false``."""
        value = self.text(name).lower()
        if value in ("true", "false"):
            return value == "true"
        if value:
            raise self._invalid(name, f"Failed to parse {value} to Boolean.")
        return default

    def permission(self, name: str) -> int | None:
        """Octal digits."""
        value = self.text(name)
        if not value:
            return None
        try:
            mode = int(value, 8)
        except ValueError:
            raise self._invalid(name, f'Failed to parse "{value}" as a radix-8 short integer.') from None
        if not 0 <= mode <= _PERMISSION_MAX:
            raise self._invalid(name, f"{name} = {value} is not from 0 to {_PERMISSION_MAX:o}.")
        return mode

    def absolute_path(self, name: str) -> str:
        """A required parameter that is a path."""
        value = self.required(name)
        if not value.startswith("/"):
            raise self._invalid(name, f'{name} = "{value}" is not an absolute path.')
        return value

    @property
    def user(self) -> str:
        """As whom the request is to be carried out.

        Nobody proves who he is, so a proxy (``doas``) is believed like anyone else.
        """
        return self.text("doas") or self.text("user.name") or DEFAULT_USER

    def _invalid(self, name: str, reason: str) -> JavaError:
        return JavaError(ILLEGAL_ARGUMENT, f'Invalid value for webhdfs parameter "{name}": {reason}')

    # --- being sent elsewhere ------------------------------------------------------------------------

    def at(self, host: str, port: int, namenode: str) -> str:
        """The same request to a datanode, which is to carry it out by the namenode of that address."""
        where = f"[{host}]" if ":" in host else host
        left_out = ("namenoderpcaddress", "noredirect", "user.name")
        others = [(name, value) for name, value in self._parameters if name not in left_out]
        others += [("user.name", self.text("user.name") or DEFAULT_USER), ("namenoderpcaddress", namenode)]
        return f"http://{where}:{port}{PREFIX}{quote(self.path)}?{urlencode(others)}"
