"""Setting up a pipeline to a datanode that misbehaves. Those that do not are in tests/system."""

from __future__ import annotations

import pytest

from oastfs.client.blocks.pipeline import Pipeline, PipelineBroken
from oastfs.client.blocks.pool import Datanodes
from oastfs.core.types import Location
from oastfs.wire.transfer import BlockId, Stage
from tests.unit.client.test_remote import HOST, listen_only, server


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_datanode_that_hangs_is_blamed(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it did so before it was connected to, or had served on a connection that was kept."""
    monkeypatch.setattr("oastfs.client.blocks.pool.PROBE_SECONDS", 0.2)
    datanodes = Datanodes(timeout_seconds=0.3)
    with server(listen_only) as port:
        location = Location(1, "storage", 1, "datanode", HOST, port, 0)
        if kept:
            datanodes.give_back(location, datanodes.connect(location))
        pipeline = Pipeline(datanodes, [location])
        with pytest.raises(PipelineBroken) as broken:
            pipeline.set_up(BlockId(1, 1), Stage.PIPELINE_SETUP_CREATE, 1, "writer")
        assert broken.value.culprit == location
        assert broken.value.silent
        datanodes.close()
