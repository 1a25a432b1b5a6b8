"""The store on PostgreSQL: one server or several, shared by any number of processes and machines.

Nothing outside this package imports SQLAlchemy or a database driver.
"""

from oastfs.store.sql_driver.opening import open_postgresql

__all__ = ["open_postgresql"]
