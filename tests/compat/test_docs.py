"""The examples of docs/fsspec.md, as they stand, in order, in one Python."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fsspec.md"
LIBRARIES = ["pandas", "pyarrow", "polars", "dask", "duckdb", "tensorflow"]


def blocks() -> list[tuple[str, str]]:
    """(what it needs, code) of each block of Python."""
    return re.findall(r"^```python(?: needs=(\w+))?\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def test_examples_run(cluster: Cluster) -> None:
    for library in LIBRARIES:
        pytest.importorskip(library)
    names: dict[str, Any] = {}
    found = blocks()
    assert len(found) > 10
    for needs, code in found:
        if needs and importlib.util.find_spec(needs) is None:
            continue
        address = cluster.url.removeprefix("oastfs://")
        code = code.replace("localhost:8020", address).replace("lmdb:///srv/oast", cluster.metadata_url)
        exec(compile(code, str(PAGE), "exec"), names)
