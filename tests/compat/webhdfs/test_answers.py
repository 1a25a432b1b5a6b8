"""A namenode and a datanode answer the battery's requests as a real HDFS 3.3.6 did."""

from __future__ import annotations

import pytest

from tests.compat.webhdfs.battery import answer_of, read_answers, read_requests
from tests.harness.cluster import HOST, Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_answers_are_those_of_hdfs(cluster: Cluster) -> None:
    base = f"http://{HOST}:{cluster.namenodes[0].http_port}/webhdfs/v1"
    expected = read_answers()
    requests = list(read_requests())
    assert len(expected) == len(requests) > 190
    differing = []
    for asked, wanted in zip(requests, expected, strict=True):
        found = answer_of(base, asked)
        if found != wanted:
            differing.append(f"{asked.line}\n  HDFS   {wanted}\n  OastFS {found}")
    assert not differing, f"{len(differing)} answers differ:\n" + "\n".join(differing)
