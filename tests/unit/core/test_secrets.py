"""URLs without their passwords."""

from __future__ import annotations

import pytest

from oastfs.core.secrets import without_password


def test_a_password_is_not_shown() -> None:
    assert without_password("postgresql://u:p@ss:w@h:5432/db") == "postgresql://u:***@h:5432/db"


@pytest.mark.parametrize(
    "url", ["postgresql://u@h:5432/db", "lmdb:///srv/oast", "oastfs://localhost:8020", "lmdb:///a!/b:c@d"]
)
def test_what_has_none_stays(url: str) -> None:
    assert without_password(url) == url
