"""Requests of WebHDFS and what was answered to them, evened out so that two servers can be compared.

``python -m tests.compat.webhdfs.battery http://HOST:PORT`` records the answers of a real HDFS anew: an empty
one with one datanode, replication 1 and ACLs enabled.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import requests

HERE = Path(__file__).parent
REQUESTS = HERE / "requests.txt"
ANSWERS = HERE / "answers.txt"
_DIRECTORY = "/webhdfs-battery"
_VARYING = {
    "accessTime",
    "childrenNum",  # OastFS does not count the entries of every directory that is listed
    "fileId",
    "group",
    "hosts",
    "modificationTime",
    "names",
    "topologyPaths",
}


class Asked(NamedTuple):
    """One line of the file."""

    line: str
    method: str
    path: str
    query: str
    body: bytes | None


def read_requests() -> Iterator[Asked]:
    """All requests in their order."""
    for line in REQUESTS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        text, _, size = line.partition(" > ")
        method, path, *query = text.split()
        body = bytes(97 + number % 26 for number in range(int(size))) if size else None
        yield Asked(" ".join(line.split()), method, path, query[0] if query else "", body)


def answer_of(base: str, asked: Asked) -> str:
    """What a server answers: both statuses, then the body."""
    path, query = (re.sub(r"\bD\b(?=/|$|&)", _DIRECTORY[1:], text) for text in (asked.path, asked.query))
    path = "/" + path.lstrip("/")
    query = re.sub(r"(destination|sources)=(?=webhdfs)", r"\1=/", query)
    if "user.name=" not in query:
        query += "&user.name=root"
    answer = requests.request(asked.method, f"{base}{path}?{query}", allow_redirects=False, timeout=60)
    statuses = [answer.status_code]
    if answer.status_code == 307:
        answer = requests.request(asked.method, answer.headers["Location"], data=asked.body, timeout=60)
        statuses.append(answer.status_code)
    return f"{' '.join(map(str, statuses))} {_shown(answer)}".rstrip()


def _shown(answer: requests.Response) -> str:
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return json.dumps(_evened(answer.json()), sort_keys=True, ensure_ascii=False)
    return answer.text if len(answer.content) < 100 else f"{len(answer.content)} bytes"


def _evened(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _evened(one, name) for name, one in value.items() if name not in _VARYING}
    if isinstance(value, list):
        found = [_evened(one) for one in value]
        return sorted(found, key=str) if key == "XAttrs" else found
    if not isinstance(value, str):
        return value
    text = value.partition("\n\tat ")[0]  # HDFS's datanodes send Java's stack
    text = text.replace(_DIRECTORY, "D")
    text = re.sub(r":(root|bob):[\w-]+(?=:)", r":\1:GROUP", text)
    text = re.sub(r"\b(DFSClient_[\w-]+|[\w.-]+-\d+-[0-9a-f]{12}-\d+)\b", "CLIENT", text)
    if key == "XAttrNames":
        return sorted(json.loads(text))
    return re.sub(r"127\.0\.0\.1|localhost", "HOST", text)


def record(base: str) -> None:
    """Write down a server's answers."""
    blocks = [f"{asked.line}\n  {answer_of(base, asked)}" for asked in read_requests()]
    ANSWERS.write_text("\n".join(blocks) + "\n")


def read_answers() -> list[str]:
    """What was written down, in the order of the requests."""
    return [line[2:] for line in ANSWERS.read_text().splitlines() if line.startswith("  ")]


if __name__ == "__main__":
    record(f"{sys.argv[1]}/webhdfs/v1")
