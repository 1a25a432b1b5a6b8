"""fsspec's own suites for filesystems, on both forms of address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fsspec.tests import abstract


class Fixtures(abstract.AbstractFixtures):
    """``fs``, ``fs_path`` and ``local_path`` are in conftest."""

    fs = None
    fs_path = None
    local_path = None

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass
