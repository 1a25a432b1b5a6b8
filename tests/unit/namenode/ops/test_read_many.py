"""read_many: many contents, cut short when large."""

from __future__ import annotations

import pytest

from oastfs.core.types import Opened
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import read_many
from tests.unit.namenode.conftest import ROOT, error_of


def test_contents_and_faults(namespace: Namespace) -> None:
    for number in range(5):
        namespace.write_file(ROOT, f"/tmp/{number}", str(number).encode())
    answers = namespace.read_many(ROOT, [*(f"/tmp/{number}" for number in range(5)), "/tmp", "/none"])
    assert [item.data for item in answers[:5] if isinstance(item, Opened)] == [b"0", b"1", b"2", b"3", b"4"]
    assert [error_of(item) for item in answers[5:]] == ["IsADirectory", "NotFound"]


def test_is_cut_short(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_many, "ANSWER_BYTES_MAX", 2500)
    for number in range(10):
        namespace.write_file(ROOT, f"/tmp/{number}", bytes(1000))
    wanted = [f"/tmp/{number}" for number in range(10)]
    answers = namespace.read_many(ROOT, wanted)
    assert len(answers) == 3
