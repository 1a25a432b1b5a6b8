"""Safe mode: nothing is changed, whoever asks; everything is read."""

from __future__ import annotations

import errno

import pytest

from oastfs.core.errors import InvalidArgument, NotPermitted, SafeMode
from oastfs.namenode.jobs import all_jobs
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import READS
from oastfs.namenode.safe_mode import ALLOWED
from oastfs.wire.verbs import VERBS
from tests.unit.namenode.conftest import ALICE, ROOT, Clock, names


def test_enter_ask_and_leave(namespace: Namespace) -> None:
    assert namespace.safe_mode(ALICE, "get") is False
    assert namespace.safe_mode(ROOT, "enter") is True
    assert namespace.safe_mode(ALICE, "get") is True
    assert namespace.safe_mode(ROOT, "leave") is False
    assert namespace.safe_mode(ROOT, "get") is False


def test_only_the_superuser_switches_it(namespace: Namespace) -> None:
    for action in ("enter", "leave"):
        with pytest.raises(NotPermitted, match="Superuser privilege is required"):
            namespace.safe_mode(ALICE, action)
    with pytest.raises(InvalidArgument):
        namespace.safe_mode(ROOT, "perhaps")


def test_changes_fail_and_reads_go_on(namespace: Namespace, clock: Clock) -> None:
    namespace.write_file(ROOT, "/f", b"content")
    # Another process switches it: all look at the store.
    Namespace(namespace.store, clock_ns=clock).safe_mode(ROOT, "enter")
    with pytest.raises(SafeMode) as refused:
        namespace.create(ROOT, "/x")
    assert refused.value.errno == errno.EROFS
    assert refused.value.message.startswith("Cannot create file/x. Name node is in safe mode.\n")
    with pytest.raises(SafeMode, match=r"^Cannot delete /f\. "):
        namespace.delete(ROOT, "/f")
    assert namespace.open(ROOT, "/f").data == b"content"
    assert "f" in names(namespace, "/")
    namespace.safe_mode(ROOT, "leave")
    namespace.delete(ROOT, "/f")


@pytest.mark.parametrize("verb", sorted(set(VERBS) - READS - ALLOWED))
def test_every_changing_verb_is_held_up(namespace: Namespace, verb: str) -> None:
    from tests.unit.namenode.server.test_native import CALLS

    namespace.safe_mode(ROOT, "enter")
    with pytest.raises(SafeMode, match="Name node is in safe mode"):
        namespace.call(verb, ROOT, *CALLS[verb])


def test_jobs_that_delete_or_move_wait(namespace: Namespace) -> None:
    jobs = all_jobs(namespace)
    assert not any(job.is_held_up() for job in jobs)
    namespace.safe_mode(ROOT, "enter")
    held_up = {job.name for job in jobs if job.is_held_up()}
    assert {"reclaim", "replication", "lease expiry", "orphans"} <= held_up
    assert "failure detection" not in held_up
