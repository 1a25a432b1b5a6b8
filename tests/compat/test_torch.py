"""PyTorch: DataLoader workers, forked and spawned, on fsspec and on the mount."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.compat.conftest import Place

torch = pytest.importorskip("torch")
data = pytest.importorskip("torch.utils.data")

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SAMPLES = 400


class Samples(data.Dataset):  # type: ignore[misc, name-defined]  # PyTorch may be missing
    """Small files by URL. A worker fetches the samples of a batch in one call."""

    def __init__(self, fs: OastFileSystem, paths: list[str]) -> None:
        self.fs = fs
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> int:
        return int.from_bytes(self.fs.cat_file(self.paths[index]), "little")

    def __getitems__(self, indexes: list[int]) -> list[int]:
        contents = self.fs.cat_stream(self.paths[index] for index in indexes)
        return [int.from_bytes(content, "little") for content in contents]


@pytest.fixture
def samples(place: Place) -> Samples:
    files = {f"{place.path}/{n:04}": n.to_bytes(4, "little") for n in range(SAMPLES)}
    place.fs.pipe(files)
    return Samples(place.fs, list(files))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(samples: Samples, method: str) -> None:
    """The parent has used the filesystem before; two epochs, with workers that stay."""
    assert samples[7] == 7
    loader = data.DataLoader(
        samples,
        batch_size=16,
        shuffle=True,
        num_workers=2,
        multiprocessing_context=method,
        persistent_workers=True,
        timeout=120,
    )
    for _ in range(2):
        assert sorted(int(number) for batch in loader for number in batch) == list(range(SAMPLES))
    assert samples[8] == 8


def test_save_and_load(place: Place) -> None:
    state = {"weights": torch.arange(100_000, dtype=torch.float32), "epoch": 3}
    url = f"{place.url}/state.pt"
    with fsspec.open(url, "wb", **place.options) as file:
        torch.save(state, file)
    with fsspec.open(url, "rb", **place.options) as file:
        loaded = torch.load(file, weights_only=True)
    assert loaded["epoch"] == 3 and torch.equal(loaded["weights"], state["weights"])


def test_mapped_from_the_mount(mount: Path) -> None:
    """torch.load with mmap reads a checkpoint of blocks by pages."""
    state = {"weights": torch.arange(500_000, dtype=torch.float32)}
    torch.save(state, mount / "mapped.pt")
    loaded = torch.load(mount / "mapped.pt", mmap=True, weights_only=True)
    assert torch.equal(loaded["weights"], state["weights"])
