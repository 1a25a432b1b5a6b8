"""The namenode as a process: sockets, threads, metrics and logs around a ``Namespace``.

Nothing in here knows what a verb does, and nothing is kept that another namenode would lack.
"""
