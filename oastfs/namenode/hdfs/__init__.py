"""The namenode as HDFS's clients know it: ClientProtocol on the namespace.

``methods`` is the table of calls and how one is declared; ``calls/`` holds the calls themselves, by subject;
``handler`` runs them for connections. A call is a function of a transaction, like an operation: it translates
its request, composes operations of ``namenode/ops`` and translates the result. Where HDFS's rules differ
from POSIX's, they are here.
"""
