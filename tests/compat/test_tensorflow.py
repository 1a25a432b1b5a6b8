"""TensorFlow: input pipelines, checkpoints and event files on the mount; an input pipeline by URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.compat.conftest import Place

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = pytest.importorskip("tensorflow")
np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

FILES = 2000
RECORDS = 5
"""In each file."""


def record(number: int) -> bytes:
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
    example = tf.train.Example(features=tf.train.Features(feature={"number": feature}))
    return bytes(example.SerializeToString())


@pytest.fixture(scope="module")
def records(mount: Path) -> Path:
    """Thousands of small record files, written by TensorFlow through the mount."""
    for number in range(FILES):
        directory = mount / "records" / f"{number % 20:02}"
        directory.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(directory / f"{number:05}.tfrecord")) as writer:
            for item in range(RECORDS):
                writer.write(record(number * RECORDS + item))
    return mount / "records"


def numbers_of(serialized: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_example(serialized, {"number": tf.io.FixedLenFeature([], tf.int64)})["number"]


# --- on the mount -----------------------------------------------------------------------------------


def test_parallel_record_files(records: Path) -> None:
    files = tf.data.Dataset.list_files(f"{records}/*/*.tfrecord", shuffle=True, seed=1)
    pipeline = files.interleave(
        tf.data.TFRecordDataset, cycle_length=16, num_parallel_calls=4, deterministic=False
    )
    pipeline = pipeline.batch(100).map(numbers_of, num_parallel_calls=2).prefetch(2)
    for _ in range(2):
        found = np.concatenate(list(pipeline.as_numpy_iterator()))
        assert sorted(found) == list(range(FILES * RECORDS))


def test_record_dataset_over_many_files(records: Path) -> None:
    files = sorted(tf.io.gfile.glob(f"{records}/*/*.tfrecord"))
    assert len(files) == FILES
    dataset = tf.data.TFRecordDataset(files, num_parallel_reads=8).map(numbers_of)
    assert sum(1 for _ in dataset) == FILES * RECORDS


def test_gfile(mount: Path) -> None:
    base = f"{mount}/gfile"
    tf.io.gfile.makedirs(f"{base}/a/b")
    with tf.io.gfile.GFile(f"{base}/a/f", "w") as file:
        file.write("text")
    tf.io.gfile.rename(f"{base}/a/f", f"{base}/a/g")
    tf.io.gfile.copy(f"{base}/a/g", f"{base}/a/h")
    assert sorted(tf.io.gfile.listdir(f"{base}/a")) == ["b", "g", "h"]
    assert tf.io.gfile.stat(f"{base}/a/h").length == 4
    tf.io.gfile.rmtree(base)
    assert not tf.io.gfile.exists(base)


def test_checkpoints(mount: Path) -> None:
    """Large enough to lie in blocks; old ones go, the newest is restored."""
    directory = str(mount / "checkpoints")
    state = tf.Variable(tf.zeros([256, 1024]))
    step = tf.Variable(0, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(state=state, step=step), directory, max_to_keep=2
    )
    for number in range(1, 5):
        step.assign(number)
        state.assign(tf.fill([256, 1024], float(number)))
        manager.save()
    assert len(manager.checkpoints) == 2
    other = tf.Variable(tf.zeros([256, 1024]))
    restored = tf.train.Checkpoint(state=other, step=tf.Variable(0, dtype=tf.int64))
    restored.restore(tf.train.latest_checkpoint(directory)).assert_consumed()
    assert float(tf.reduce_mean(other)) == 4.0 and int(restored.step) == 4
    assert len(list(Path(directory).glob("*.index"))) == 2


def test_keras_model(mount: Path) -> None:
    keras = pytest.importorskip("keras")
    path = mount / "model.keras"
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(300), keras.layers.Dense(1)])
    model.save(path)
    data = np.ones((3, 8), dtype="float32")
    np.testing.assert_allclose(keras.models.load_model(path)(data), model(data))


def values_in(file: str) -> list[float]:
    """Scalars of an event file, as far as it is written."""
    values = []
    for event in tf.compat.v1.train.summary_iterator(file):
        for value in event.summary.value:
            values.append(float(tf.make_ndarray(value.tensor)))
    return values


def test_event_files_are_read_while_written(mount: Path) -> None:
    """As TensorBoard does while training runs: after each flush the reader sees what was written."""
    directory = mount / "logs"
    writer = tf.summary.create_file_writer(str(directory))
    expected: list[float] = []
    for step in range(30):
        with writer.as_default():
            tf.summary.scalar("loss", float(step), step=step)
        expected.append(float(step))
        writer.flush()
        (file,) = directory.glob("events.out.tfevents.*")
        assert values_in(str(file)) == expected
    writer.close()
    assert values_in(str(file)) == expected


def test_tensorboard_follows(mount: Path) -> None:
    """TensorBoard's own loader, which keeps the file open and comes back for more."""
    loader_module = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    directory = mount / "board"
    writer = tf.summary.create_file_writer(str(directory))
    writer.flush()
    (file,) = directory.glob("events.out.tfevents.*")
    loader = loader_module.EventFileLoader(str(file))
    seen = len(list(loader.Load()))
    for step in range(20):
        with writer.as_default():
            tf.summary.scalar("loss", float(step), step=step)
        writer.flush()
        seen += len(list(loader.Load()))
    writer.close()
    assert seen == 21  # the file's version comes first


# --- by URL -----------------------------------------------------------------------------------------


@pytest.fixture
def images(place: Place) -> list[str]:
    """Small files whose bytes say which they are."""
    files = {f"{place.path}/images/{n:05}.raw": n.to_bytes(4, "little") * 256 for n in range(FILES)}
    place.fs.pipe(files)
    return list(files)


def decoded(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_raw(data, tf.int32)


def test_generator_over_batches(place: Place, images: list[str]) -> None:
    def contents() -> Iterator[bytes]:
        yield from place.fs.cat_stream(images)

    dataset = tf.data.Dataset.from_generator(contents, output_signature=tf.TensorSpec((), tf.string))
    pipeline = dataset.map(decoded).batch(64).prefetch(2)
    firsts = np.concatenate([batch[:, 0] for batch in pipeline.as_numpy_iterator()])
    assert list(firsts) == list(range(FILES))


def test_batches_in_a_function(place: Place, images: list[str]) -> None:
    """Shuffled names, read by the batch on TensorFlow's own threads."""

    def read(paths: tf.Tensor) -> tf.Tensor:
        return tf.constant(list(place.fs.cat_stream(path.decode() for path in paths.numpy())))

    names = tf.data.Dataset.from_tensor_slices(images).shuffle(FILES, seed=1).batch(128)
    contents = names.map(lambda paths: tf.py_function(read, [paths], tf.string), num_parallel_calls=2)
    firsts = [int(row[0]) for batch in contents for row in decoded(batch).numpy()]
    assert sorted(firsts) == list(range(FILES))
