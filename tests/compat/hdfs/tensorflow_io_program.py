"""A program with TensorFlow IO, as its users write them: run with the URL of a directory."""

from __future__ import annotations

import sys

import tensorflow as tf
import tensorflow_io  # noqa: F401 - registers hdfs://

RECORDS = 1000


def files(url: str) -> None:
    """What tf.io.gfile does."""
    tf.io.gfile.makedirs(f"{url}/files/below")
    with tf.io.gfile.GFile(f"{url}/files/a", "w") as file:
        file.write("small")
    with tf.io.gfile.GFile(f"{url}/files/large", "wb") as file:
        file.write(b"0123456789" * 300_000)
    with tf.io.gfile.GFile(f"{url}/files/large", "rb") as file:
        file.seek(1_500_003)
        assert file.read(10) == b"3456789012"
    with tf.io.gfile.GFile(f"{url}/files/a", "a") as file:
        file.write(" and more")
    assert tf.io.gfile.GFile(f"{url}/files/a").read() == "small and more"
    tf.io.gfile.rename(f"{url}/files/a", f"{url}/files/below/b")
    tf.io.gfile.copy(f"{url}/files/below/b", f"{url}/files/c")
    assert sorted(name.rstrip("/") for name in tf.io.gfile.listdir(f"{url}/files")) == ["below", "c", "large"]
    assert len(tf.io.gfile.glob(f"{url}/files/*")) == 3
    assert tf.io.gfile.stat(f"{url}/files/large").length == 3_000_000
    assert tf.io.gfile.isdir(f"{url}/files/below") and not tf.io.gfile.exists(f"{url}/files/a")
    tf.io.gfile.remove(f"{url}/files/c")
    tf.io.gfile.rmtree(f"{url}/files/below")


def records(url: str) -> None:
    """Record files, written and read in parallel."""
    tf.io.gfile.makedirs(f"{url}/records")
    for part in range(10):
        with tf.io.TFRecordWriter(f"{url}/records/{part}.tfrecord") as writer:
            for number in range(part, RECORDS, 10):
                writer.write(number.to_bytes(4, "little") * 100)
    names = tf.data.Dataset.list_files(f"{url}/records/*.tfrecord")
    dataset = names.interleave(tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=2).batch(50)
    found = [int.from_bytes(one[:4], "little") for batch in dataset for one in batch.numpy()]
    assert sorted(found) == list(range(RECORDS))


def checkpoints(url: str) -> None:
    """Large enough to lie in blocks; old ones go, the newest is restored."""
    state = tf.Variable(tf.zeros([256, 1024]))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(state=state), f"{url}/checkpoints", max_to_keep=2
    )
    for number in range(1, 5):
        state.assign(tf.fill([256, 1024], float(number)))
        manager.save()
    other = tf.Variable(tf.zeros([256, 1024]))
    restored = tf.train.Checkpoint(state=other)
    restored.restore(tf.train.latest_checkpoint(f"{url}/checkpoints")).assert_consumed()
    assert float(tf.reduce_mean(other)) == 4.0
    assert len(tf.io.gfile.glob(f"{url}/checkpoints/*.index")) == 2


if __name__ == "__main__":
    for step in (files, records, checkpoints):
        step(sys.argv[1])
        print(f"{step.__name__}: good", flush=True)
