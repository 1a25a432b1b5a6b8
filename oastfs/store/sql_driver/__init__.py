"""The store on PostgreSQL: one server, shared by any number of processes on any number of machines.

Nothing outside this package imports SQLAlchemy or a database driver.
"""

from oastfs.store.sql_driver.store import SqlStore, open_postgresql

__all__ = ["SqlStore", "open_postgresql"]
