"""The audit log: who did what to which paths, from where, and whether it was allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import NotFound, PermissionDenied
from oastfs.core.types import SUPERUSER, Caller, WriteRequest
from oastfs.namenode.server.audit import AUDITED, AuditLog
from oastfs.namenode.server.process import namenode_thread
from oastfs.wire.verbs import VERBS
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import HOST, make_config

ROOT = SUPERUSER
EVE = Caller("eve", 1003, (1003,))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_changes_or_opens_is_written_down(tmp_path: Path) -> None:
    log = tmp_path / "audit" / "audit.log"
    with namenode_thread(make_config(tmp_path, audit_log=log)) as endpoints:
        remote = RemoteMetadata([(HOST, endpoints.port)])
        remote.write_file(ROOT, "/f", b"secret content")
        remote.stat(ROOT, "/f")
        remote.open(ROOT, "/f")
        remote.rename(ROOT, "/f", "/g")
        with pytest.raises(PermissionDenied):
            remote.write_file(EVE, "/eve", b"")
        with pytest.raises(NotFound):
            remote.open(EVE, "/none")
        remote.write_many(ROOT, [WriteRequest(f"/m{number}", b"") for number in range(150)])
        remote.close()
    found = lines(log)
    assert [line["verb"] for line in found] == [
        "write_file",
        "open",
        "rename",
        "write_file",
        "open",
        "write_many",
    ]
    assert found[2]["paths"] == ["/f", "/g"]
    assert [line["allowed"] for line in found] == [True, True, True, False, True, True]
    assert found[3]["user"] == "eve" and found[3]["uid"] == 1003
    assert found[3]["error"] == "PermissionDenied" and found[4]["error"] == "NotFound"
    assert "error" not in found[0]
    assert found[0]["client"].startswith("127.0.0.1:") and found[0]["us"] >= 0
    assert found[5]["count"] == 150 and len(found[5]["paths"]) == 100
    assert "secret" not in log.read_text()


def test_every_verb_can_be_recorded(tmp_path: Path) -> None:
    from tests.unit.namenode.server.test_native import CALLS

    log = AuditLog(tmp_path / "audit.log")
    for verb in sorted(AUDITED):
        arguments = VERBS[verb].decode_arguments(_encoded(CALLS[verb]))
        log.record(verb, arguments, "here", 1000, None)
    log.close()
    assert [line["verb"] for line in lines(tmp_path / "audit.log")] == sorted(AUDITED)


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    from oastfs.wire.verbs import encode_arguments

    return encode_arguments((ROOT, *arguments))


def test_a_log_that_was_moved_away_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    log.record("delete", (ROOT, "/a", False), "here", 1, None)
    wait_until(lambda: path.stat().st_size > 0, "the first line")
    path.rename(tmp_path / "audit.log.1")
    log.record("delete", (ROOT, "/b", False), "here", 1, None)
    log.close()
    assert lines(path)[0]["paths"] == ["/b"]
    assert lines(tmp_path / "audit.log.1")[0]["paths"] == ["/a"]


def test_a_log_that_cannot_be_written_fails_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        AuditLog(tmp_path / "file" / "audit.log")
