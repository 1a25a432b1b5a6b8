"""``python -m oastfs.cli``: the command, as `oastfs up` starts its parts."""

from oastfs.cli import main

main()
