"""Datanodes: the blocks of large files on local volumes, served over the data transfer protocol.

Knows blocks and stamps, never files: imports nothing of the namenode or the store.
"""
