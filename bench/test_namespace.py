"""The library on LMDB, one process: how many operations a second. Each benchmark's round does OPERATIONS."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from oastfs.core.types import SUPERUSER, Caller, WriteRequest
from oastfs.namenode.namespace import Namespace

USER = Caller("user", 1000, (1000,))
OPERATIONS = 2000
CALLERS = 32


@pytest.fixture
def path(namespace: Namespace) -> str:
    """A small file at depth 4 that a common user may read."""
    namespace.write_file(SUPERUSER, "/a/b/c/d", bytes(1024), parents=True)
    return "/a/b/c/d"


@pytest.mark.parametrize("verb", ["stat", "open", "access"])
def test_read(benchmark: BenchmarkFixture, namespace: Namespace, path: str, verb: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "stat": lambda: namespace.stat(USER, path),
        "open": lambda: namespace.open(USER, path),
        "access": lambda: namespace.access(USER, path, 4),
    }
    call = calls[verb]

    def operations() -> None:
        for _ in range(OPERATIONS):
            call()

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(operations)


@pytest.mark.parametrize("entries", [100_000])
def test_list(benchmark: BenchmarkFixture, namespace: Namespace, entries: int) -> None:
    namespace.mkdirs(SUPERUSER, "/big")
    for start in range(0, entries, 10_000):
        requests = [WriteRequest(f"/big/f{number:08}", b"") for number in range(start, start + 10_000)]
        namespace.write_many(SUPERUSER, requests)

    def listing() -> int:
        count, after, more = 0, "", True
        while more:
            page = namespace.listdir(USER, "/big", after, 1000)
            count, after, more = count + len(page.entries), page.entries[-1].name, page.more
        return count

    benchmark.extra_info["operations"] = entries
    assert benchmark(listing) == entries


def test_read_many(benchmark: BenchmarkFixture, namespace: Namespace) -> None:
    paths = [f"/many/f{number:05}" for number in range(OPERATIONS)]
    namespace.write_many(SUPERUSER, [WriteRequest(path, bytes(1024)) for path in paths], True)
    benchmark.extra_info["operations"] = OPERATIONS
    assert len(benchmark(lambda: namespace.read_many(USER, paths))) == OPERATIONS


@pytest.mark.parametrize("how", ["threads", "submitted"])
def test_durable_creates(benchmark: BenchmarkFixture, namespace: Namespace, how: str) -> None:
    """Creates from 32 callers, each waiting for its answer: group commit at work."""
    namespace.mkdirs(SUPERUSER, "/new")
    rounds = itertools.count()
    each = OPERATIONS // CALLERS

    def by_threads() -> None:
        number = next(rounds)

        def caller(rank: int) -> None:
            for position in range(each):
                namespace.create(SUPERUSER, f"/new/{number}-{rank}-{position}")

        threads = [threading.Thread(target=caller, args=(rank,)) for rank in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def by_submission() -> None:
        number, finished, left = next(rounds), threading.Event(), [CALLERS]

        def go_on(rank: int, position: int) -> None:
            if position == each:
                left[0] -= 1
                if left[0] == 0:
                    finished.set()
                return
            arguments = (f"/new/{number}-{rank}-{position}", 0o644, False, False, "", 0, 0)
            namespace.submit("create", SUPERUSER, arguments, lambda _, error: go_on(rank, position + 1))

        for rank in range(CALLERS):
            go_on(rank, 0)
        assert finished.wait(60), "creates were not answered within 60 s"

    benchmark.extra_info["operations"] = each * CALLERS
    benchmark(by_threads if how == "threads" else by_submission)
