"""Requests of HDFS's protocol with any values in their fields: an answer or a proper error, and a sound
namespace.

Fields are filled from pools of what is there, what is odd and what earlier answers named. The seed is
printed; OASTFS_FUZZ_SEED replays it.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

from oastfs.core.errors import OastError
from oastfs.core.types import SUPERUSER, Caller
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import check
from oastfs.namenode.hdfs import calls
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.namenode.hdfs.errors import describe
from oastfs.namenode.hdfs.handler import carry_out, decode
from oastfs.namenode.hdfs.methods import METHODS
from oastfs.namenode.hdfs.names import Names
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from tests.harness.fleet import Fleet

calls.load()

CALLS: Final = 4000
PATHS: Final = ("/a", "/a/b", "/a/f", "/a/b/g", "/h", "/i", "/a/b/c/d")
ODD_PATHS: Final = (
    "", "/", "a", "//", "/a/", "/a//b", "/a/../b", "/.", "/a/f/x", "/none/x", "/\0", "/é\U0001f600",
    "/" + "n" * 256, "/x" * 1001, "/.reserved", "/.reserved/.inodes/1", "/.reserved/.inodes/99999",
    "/.reserved/raw/a", "/a/.snapshot/s", "/a/*", "/a:b", "/a/b;c",
)  # fmt: skip
WRITERS: Final = ("writer", "other", "")
WORDS: Final = (
    "root",
    "nobody",
    "user.x",
    "trusted.y",
    "HOT",
    "COLD",
    "RS-6-3-1024k",
    "default",
    "s1",
    "n" * 300,
    "\0",
)
NUMBERS: Final = (0, 1, 2, 3, 5, 7, 15, 420, 493, 511, 512, 1000, 1024, 4096, 65536, 1 << 20, 1 << 30)
ODD_NUMBERS: Final = (
    -1,
    -2,
    1 << 31,
    (1 << 31) - 1,
    -(1 << 31),
    (1 << 32) - 1,
    (1 << 63) - 1,
    -(1 << 63),
    (1 << 64) - 1,
)
LIKELY: Final[dict[str, tuple[int, ...]]] = {
    "createFlag": (1, 2, 3, 5),
    "replication": (1, 2, 3),
    "blockSize": (4096, 8192),
    "perm": (0o644, 0o755, 0o777, 0o700),
    "fileId": (0,),
    "newLength": (0, 100, 3000, 5000),
    "lastBlockLength": (0, 100, 4096),
    "numBytes": (0, 100, 3000, 4096),
    "srcFileId": (0,),
}
"""Numbers without which most calls of a kind would be refused for one reason."""
_RANGES: Final = {
    Field.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    Field.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    Field.TYPE_SFIXED32: (-(1 << 31), (1 << 31) - 1),
    Field.TYPE_UINT32: (0, (1 << 32) - 1),
    Field.TYPE_FIXED32: (0, (1 << 32) - 1),
    Field.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    Field.TYPE_SINT64: (-(1 << 63), (1 << 63) - 1),
    Field.TYPE_UINT64: (0, (1 << 64) - 1),
    Field.TYPE_FIXED64: (0, (1 << 64) - 1),
}


class Requests:
    """Makes requests, and learns from answers what may be asked about."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._known: dict[str, list[Any]] = {}

    def make(self, kind: type[Message]) -> Message:
        """A request with every required field and some of the others."""
        message = kind()
        self._fill(message, 0)
        return message

    def learn(self, message: Message) -> None:
        """Keep the numbers, names and blocks of an answer, by the names of their fields."""
        for field, value in message.ListFields():
            for one in value if field.is_repeated else (value,):
                kept = self._known.setdefault(field.name, [])
                if isinstance(one, Message):
                    self.learn(one)
                    kept.append(one)
                elif not isinstance(one, bool):
                    kept.append(one)
                del kept[:-20]

    def _fill(self, message: Any, depth: int) -> None:
        chance = self.chance
        for field in message.DESCRIPTOR.fields:
            if field.is_repeated:
                if depth < 3:
                    for _ in range(chance.choice((0, 0, 1, 2))):
                        self._add(getattr(message, field.name), field, depth)
            elif field.is_required or chance.random() < 0.5:
                if field.type == Field.TYPE_MESSAGE:
                    self._fill_message(getattr(message, field.name), field, depth)
                else:
                    setattr(message, field.name, self._value(field))

    def _add(self, values: Any, field: Any, depth: int) -> None:
        if field.type == Field.TYPE_MESSAGE:
            self._fill_message(values.add(), field, depth)
        else:
            values.append(self._value(field))

    def _fill_message(self, message: Any, field: Any, depth: int) -> None:
        message.SetInParent()
        names = (field.name, "b", "block") if "Block" in field.message_type.name else (field.name,)
        known = [one for name in names for one in self._known.get(name, ()) if type(one) is type(message)]
        if known and self.chance.random() < 0.8:
            message.CopyFrom(self.chance.choice(known))
        elif depth < 4:
            self._fill(message, depth + 1)

    def _value(self, field: Any) -> Any:
        chance = self.chance
        known = self._known.get(field.name)
        if field.type == Field.TYPE_STRING:
            return self._text(field.name, known)
        if field.type == Field.TYPE_BYTES:
            return chance.randbytes(chance.choice((0, 1, 20)))
        if field.type == Field.TYPE_BOOL:
            return chance.random() < 0.5
        if field.type == Field.TYPE_ENUM:
            return chance.choice(field.enum_type.values).number
        if field.type in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
            return chance.choice(
                (0.0, 1.0, -1.0, float("nan"), 1e300 if field.type == Field.TYPE_DOUBLE else 1e30)
            )
        if field.name in LIKELY and chance.random() < 0.7:
            return chance.choice(LIKELY[field.name])
        numbers = [one for one in known or () if type(one) is int]
        pool = (
            numbers if numbers and chance.random() < 0.6 else chance.choice((NUMBERS, NUMBERS, ODD_NUMBERS))
        )
        low, high = _RANGES[field.type]
        return min(max(int(chance.choice(pool)), low), high)

    def _text(self, name: str, known: list[Any] | None) -> str:
        chance = self.chance
        lowered = name.lower()
        if any(part in lowered for part in ("src", "dst", "path", "target", "trg", "link", "root", "trash")):
            return chance.choice(PATHS if chance.random() < 0.85 else ODD_PATHS)
        if any(part in lowered for part in ("client", "holder")):
            return chance.choice(WRITERS[:2] if chance.random() < 0.9 else WRITERS)
        texts = [one for one in known or () if isinstance(one, str)]
        return chance.choice(texts if texts and chance.random() < 0.5 else (*WORDS, *WRITERS))


class Clock:
    """Time that passes when it is told to: ten milliseconds a call, and now and then a minute."""

    def __init__(self) -> None:
        self.now_ns = 2_000_000_000 * 10**9

    def __call__(self) -> int:
        return self.now_ns

    def pass_by(self, seconds: float) -> None:
        self.now_ns += int(seconds * 10**9)


class Asker:
    """Carries requests out on a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.names = Names()

    def ask(self, name: str, request: Message, caller: Caller) -> bytes:
        """The encoded answer, by way of the request's encoding."""
        method = METHODS[name]
        context = self.namespace.context(caller)
        context.group_of_parent = True
        call = Call(context, self.names, "127.0.0.1", Address("127.0.0.1", 8020))
        message = decode(method, request.SerializeToString())
        store = self.namespace.store
        run = store.read if method.reads else store.write
        return run(lambda tx: carry_out(method, tx, call, message))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def namespace(clock: Clock) -> Iterator[Namespace]:
    directory = Path(tempfile.mkdtemp(prefix="oastfs-requests-"))
    store = open_store(f"lmdb://{directory}/store", create=True)
    format_store(store, FormatOptions(4096, 2, 1024, superuser_uid=0, supergroup_gid=0))
    namespace = Namespace(store, clock_ns=clock, randomness=random.Random(0))
    yield namespace
    try:
        check(store).raise_if_problems()
    finally:
        store.close()
        shutil.rmtree(directory)


def response_type(request: type[Message]) -> type[Message] | None:
    """The message of a method's answer, by the custom of names."""
    module = __import__(request.__module__, fromlist=["x"])
    found: type[Message] | None = getattr(module, request.__name__.removesuffix("Request") + "Response", None)
    return found


WEIGHTS: Final = {
    "create": 12,
    "addBlock": 8,
    "complete": 6,
    "append": 4,
    "mkdirs": 4,
    "updateBlockForPipeline": 3,
    "setSafeMode": 0.05,
    "setQuota": 0.2,
}


def run(namespace: Namespace, clock: Clock, seed: int, count: int) -> Counter[str]:
    """Ask; how often each method had an answer."""
    chance = random.Random(seed)
    fleet = Fleet(namespace)
    for _ in range(3):
        fleet.add()
    requests, asker = Requests(chance), Asker(namespace)
    names = sorted(METHODS)
    weights = [WEIGHTS.get(name, 1) for name in names]
    callers = (SUPERUSER, SUPERUSER, SUPERUSER, Caller("nobody", 65534, (65534,)))
    answered: Counter[str] = Counter()
    for number in range(count):
        clock.pass_by(70 if number % 150 == 149 else 0.01)
        if number % 50 == 0:
            fleet.beat_all()
            fleet.carry_out_all()
        name = chance.choices(names, weights)[0]
        method, caller = METHODS[name], chance.choice(callers)
        request = requests.make(method.request)
        try:
            answer = asker.ask(name, request, caller)
        except OastError as error:
            kind, message = describe(error)
            assert "." in kind and isinstance(message, str)
            assert "read transaction" not in message, f"seed {seed}, call {number}: {name}: {message}"
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}, call {number}: {name} by {caller.user}\n{request}") from error
        answered[name] += 1
        response = response_type(method.request)
        if response is not None:
            decoded = response.FromString(answer)
            assert decoded.IsInitialized(), f"{name}: {decoded}"
            requests.learn(decoded)
    return answered


def test_any_request_is_answered_or_refused(namespace: Namespace, clock: Clock) -> None:
    seed = int(os.environ.get("OASTFS_FUZZ_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"OASTFS_FUZZ_SEED={seed}")
    answered = run(namespace, clock, seed, CALLS)
    print(answered)
    assert len(answered) > len(METHODS) // 3 and answered["addBlock"]
