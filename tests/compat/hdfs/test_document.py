"""The examples of docs/hdfs.md run as they stand, one after the other, in one terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.compat.hdfs.conftest import HdfsPlace
from tests.compat.hdfs.test_tensorflow_io import environment_of_tensorflow_io, run_tensorflow_io
from tests.harness import libhdfs
from tests.harness.cluster import run_oastfs
from tests.harness.documents import OWN_NETWORK, run_beside, script
from tests.harness.process import OASTFS, Server
from tests.harness.up import can_unshare

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "hdfs.md"
LIBRARIES = ["deltalake", "hdfs_native", "pandas", "polars_hdfs", "pyarrow", "pyspark", "tensorflow"]


def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    if not can_unshare("--net"):
        pytest.skip("default ports that are surely free take a network namespace")
    for library in LIBRARIES:
        pytest.importorskip(library)
    if not libhdfs.available() or not shutil.which("rclone") or not shutil.which("hdfs"):
        pytest.skip("not all of the clients are installed")
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    arguments = [*OWN_NETWORK, OASTFS, "up", str(tmp_path / "store"), "--namenodes", "2", "--mount", "./mnt"]
    up = Server("up", arguments, tmp_path / "up.log", directory=tmp_path)
    up.start()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    try:
        up.wait_for_line("ready ", 90)
        done = run_beside(up, script(PAGE.read_text()), tmp_path, environment, 600)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{up.log.read_text()}"
        for expected in ("b'hello, hops' hello, hops", "1000 Row(length=11)", "[b'a record']", "by-go.xml"):
            assert expected in done.stdout, done.stdout
        assert done.stdout.count("True") == 1 and "\n1000\n" in done.stdout, done.stdout
        assert up.terminate() == 0
    finally:
        up.ensure_stopped()
    run_oastfs("fsck", f"lmdb://{tmp_path}/store")


@pytest.mark.long
def test_the_example_for_tensorflow_io(place: HdfsPlace, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python needs=tensorflow_io\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    code = code.replace("hdfs://localhost:8020/demo", place.url)
    done = run_tensorflow_io(["-c", code], environment_of_tensorflow_io(tmp_path))
    assert done.stdout == "[b'a record']\n"
