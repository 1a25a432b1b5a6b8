"""Operations are tested on every store."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["lmdb", "database", pytest.param("citus_database", marks=pytest.mark.long)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An embedded store, a database, or one on Citus."""
    if request.param == "lmdb":
        return f"lmdb://{tmp_path}/store"
    return str(request.getfixturevalue(request.param))
