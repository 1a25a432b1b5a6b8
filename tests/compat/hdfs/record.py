"""Records what a real HDFS answers to the battery: python -m tests.compat.hdfs.record [SCRIPT ...].

OASTFS_REFERENCE_HDFS is its address (hdfs://HOST:PORT), OASTFS_REFERENCE_DATANODE that of the datanode's IPC
port (HOST:PORT). It must be empty and for this alone: one datanode, replication 1, ACLs enabled, and
dfs.namenode.fs-limits.min-block-size at 1024. The battery enters safe mode, sets quotas, and deletes
/battery and /user.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.compat.hdfs.battery import Battery, names, write_golden
from tests.harness.java import Jvm, client_jars, tool_jars


def record(chosen: list[str]) -> None:
    """Run the scripts and write their golden files."""
    namenode = os.environ["OASTFS_REFERENCE_HDFS"].removeprefix("hdfs://").rstrip("/")
    datanode = os.environ["OASTFS_REFERENCE_DATANODE"]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with (
            Jvm("clients", client_jars(), directory) as clients,
            Jvm("tools", tool_jars(), directory) as tools,
        ):
            battery = Battery(namenode, datanode, clients, tools, directory)
            for name in chosen or names():
                write_golden(name, battery.run(name))
                print(name)


if __name__ == "__main__":
    record(sys.argv[1:])
