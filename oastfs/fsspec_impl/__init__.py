"""The fsspec filesystem ``oastfs://``, for pandas, pyarrow, polars, dask, duckdb, PyTorch and the rest.

fsspec finds ``OastFileSystem`` by the entry point of this package.
"""

from __future__ import annotations

from oastfs.fsspec_impl.filesystem import OastFileSystem

__all__ = ["OastFileSystem"]
