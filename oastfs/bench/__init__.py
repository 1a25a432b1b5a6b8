"""What ``oastfs bench`` runs: workloads on any filesystem, load from several processes, and the figures.

Knows the client library and the local filesystem; never a namenode, datanode or store from inside.
"""
