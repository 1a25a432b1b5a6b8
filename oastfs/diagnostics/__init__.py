"""Looking into a running part from outside: what it does now, and where its time goes.

``door.py`` is a socket that every part opens for its own user, ``sampler.py`` a profiler that needs no
privileges since it runs inside, ``flame.py`` draws what it found. Knows no part of OastFS.
"""
