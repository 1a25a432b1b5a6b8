"""The embedded store: LMDB with group commit, shared by the threads and processes of one machine.

Nothing outside this package imports ``lmdb``.
"""

from oastfs.store.lmdb_driver.store import LmdbStore, open_lmdb

__all__ = ["LmdbStore", "open_lmdb"]
