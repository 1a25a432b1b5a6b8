"""TensorFlow: by hdfs:// through TensorFlow IO where there is one, else by the mount and fsspec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import Fsspec, Mounted
from tests.harness import libhdfs

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

PYTHON = Path(sys.prefix) / "tensorflow-io" / "bin" / "python"
PROGRAM = Path(__file__).with_name("tensorflow_io_program.py")


def environment_of_tensorflow_io(directory: Path) -> dict[str, str]:
    """What a program in the environment that `make test-long` makes needs; skips if there is none."""
    has_module = [str(PYTHON), "-c", "import tensorflow_io"]
    if not PYTHON.exists() or subprocess.run(has_module, capture_output=True, check=False).returncode:
        pytest.skip(f"no TensorFlow IO in {PYTHON.parent.parent}")
    if not libhdfs.available():
        pytest.skip("no libhdfs: scripts/build_libhdfs.sh makes it")
    return {
        **os.environ,
        **libhdfs.environment(libhdfs.write_configuration(directory / "configuration", {})),
        "LD_LIBRARY_PATH": str(libhdfs.LIBRARY.parent),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def run_tensorflow_io(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program there to its end, which must be success."""
    done = subprocess.run(
        [str(PYTHON), *arguments], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.long
def test_tensorflow_io(place: HdfsPlace, tmp_path: Path, hdfs_mount: Path) -> None:
    """gfile, record files and checkpoints."""
    done = run_tensorflow_io([str(PROGRAM), place.url], environment_of_tensorflow_io(tmp_path))
    assert done.stdout.splitlines() == ["files: good", "records: good", "checkpoints: good"]
    assert len(list(Mounted(hdfs_mount).at(place / "records").iterdir())) == 10


def test_newer_tensorflow(place: HdfsPlace, hdfs_mount: Path, faces: Faces) -> None:
    """Records that came by hdfs:// are read by path; images that did, in batches by oastfs://."""
    tf = pytest.importorskip("tensorflow")
    writer = faces("hdfs-native")
    with tf.io.TFRecordWriter(str(hdfs_mount / "local.tfrecord")) as local:
        for number in range(100):
            local.write(number.to_bytes(4, "little"))
    writer.write(place / "a.tfrecord", writer.read("/local.tfrecord"))
    path = str(Mounted(hdfs_mount).at(place / "a.tfrecord"))
    found = [int.from_bytes(one.numpy(), "little") for one in tf.data.TFRecordDataset(path)]
    assert found == list(range(100))
    for number in range(20):
        writer.write(place / f"{number:02}.raw", number.to_bytes(4, "little") * 10)
    by_url = faces("oastfs-fsspec")
    assert isinstance(by_url, Fsspec)
    names = [place / f"{number:02}.raw" for number in range(20)]
    dataset = tf.data.Dataset.from_generator(
        lambda: by_url.fs.cat_stream(names), output_signature=tf.TensorSpec((), tf.string)
    )
    firsts = [int(tf.io.decode_raw(data, tf.int32)[0]) for data in dataset]
    assert firsts == list(range(20))
