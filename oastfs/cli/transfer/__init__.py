"""Copying trees between this machine and filesystems, or between filesystems.

One engine (``engine.py``) copies from any source to any sink (``ends.py``): this machine's files
(``local.py``) or an OastFS filesystem (``remote.py``). It knows nothing of the command line.
"""
