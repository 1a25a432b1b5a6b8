"""libhdfs for programs that reach HDFS through it (PyArrow, TensorFlow): where it is, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from tests.harness.java import client_jars, spark_jars

LIBRARY = Path(sys.prefix) / "share" / "libhdfs" / "libhdfs.so"
"""Where scripts/build_libhdfs.sh puts it."""

_FIND_JDK = Path(__file__).resolve().parents[2] / "scripts" / "find_jdk.sh"


def jars() -> list[Path]:
    """Hadoop's clients, and what libhdfs asks for the text of an exception."""
    found = spark_jars()
    return [*client_jars(), *sorted(found.glob("commons-lang-2*.jar"))] if found else []


def available() -> bool:
    """Whether there is a libhdfs and the jars that it calls."""
    return LIBRARY.exists() and bool(jars())


def write_configuration(directory: Path, properties: Mapping[str, str]) -> Path:
    """A configuration directory of Hadoop clients with these properties; the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    text = "\n".join(['<?xml version="1.0"?>', "<configuration>", *lines, "</configuration>", ""])
    (directory / "core-site.xml").write_text(text)
    return directory


def environment(configuration: Path) -> dict[str, str]:
    """What a process needs in its environment before it first uses libhdfs."""
    home = subprocess.run(["bash", _FIND_JDK], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "ARROW_LIBHDFS_DIR": str(LIBRARY.parent),
        "CLASSPATH": ":".join(map(str, [configuration, *jars()])),
        "JAVA_HOME": home,
        # Signals are the program's own; the JVM needs little memory.
        "LIBHDFS_OPTS": "-Xrs -Xmx384m -XX:+UseSerialGC",
    }
