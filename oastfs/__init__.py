"""OastFS: a distributed filesystem with its metadata in a transactional database.

One namespace, four faces: a POSIX mount, the ``hdfs://`` protocol, fsspec and a Python client.
"""

__version__ = "0.1.0"
