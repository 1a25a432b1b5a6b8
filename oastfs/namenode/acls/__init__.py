"""Access control lists: POSIX.1e's, as HDFS and Linux have them. Nothing here reads the store.

``rows``: an ACL as an inode's row holds it, and what a new inode inherits. ``decide``: what it permits.
``changes``: how it changes. ``linux``: its form in Linux's extended attributes.
"""
