"""Evening out what differs between runs that do the same: addresses, times, ids, sizes of disks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(r"\b(\d{4}-\d{2}-\d{2} \d{2}:\d{2})(:\d{2}([,.]\d+)?)?\b")
_LONG_DATE = re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d{2}:\d{2}:\d{2} [A-Z]+ \d{4}\b")
_MILLISECONDS = re.compile(r"\b\d{13}\b")
_NEAR = timedelta(days=3)

_RULES = [
    # Where in the server an error came from.
    (re.compile(r"\n(\s+at \S+\(.*\)\n)+': "), "': "),
    (re.compile(r"(^\s+at \S+\(.*\)\n)+\n?", re.M), ""),
    (re.compile(r"^\s*\.\.\. \d+ more\n", re.M), ""),
    # What a client knows of its own options, in full.
    (re.compile(r"^Usage: hadoop fs \[generic options\]\n(\s*\[.*\n)*", re.M), "Usage: hadoop fs\n"),
    (re.compile(r"^\s*Generic options supported are:?\n(.*\n)*?command \[gener.*\n\n?", re.M), ""),
    (re.compile(r"^Usage: hdfs dfsadmin\nNote: .*\n(\s*\[.*\n)*", re.M), "Usage: hdfs dfsadmin\n"),
    # Java 21 adds this to "Connection refused", Java 17 does not.
    (re.compile(r" \(connect failed\)"), ""),
    (re.compile(r"^Directory: .*", re.M), "Directory: PATH"),
    (re.compile(r"^Hostname: .*", re.M), "Hostname: NAME"),
    (re.compile(r"\bXceivers: \d+"), "Xceivers: N"),
    (re.compile(r"\bblk_\d+(_\d+)?"), "BLOCK"),
    (re.compile(r"\bBP-\d+-[\d.]+-\d+"), "POOL"),
    (re.compile(r"\bDFSClient_NONMAPREDUCE_-?\d+_\d+"), "CLIENT"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\(inode \d+\)"), "(inode N)"),
    (re.compile(r"\binode ?[iI]d[= ]\d+"), "inode id N"),
    (re.compile(r"\bTrash/\d{12,18}\b"), "Trash/CHECKPOINT"),
]


class Evener:
    """Evens out texts of one run."""

    def __init__(self, local: str, namenode: str, datanode: str) -> None:
        self._local = local
        port, data_port = (address.rpartition(":")[2] for address in (namenode, datanode))
        self._rules = [
            *_RULES,
            (re.compile(rf"\b[\w.-]+(/[\d.]+)?:{port}\b"), "NAMENODE"),
            (re.compile(rf"\b[\w.-]+(/[\d.]+)?:{data_port}\b"), "ADDRESS"),
            (re.compile(r"\b127\.0\.0\.1:\d{4,5}\b"), "ADDRESS"),
            # What a machine's resolver makes of addresses.
            (re.compile(r"\bADDRESS \([\w.-]+\)"), "ADDRESS (NAME)"),
            (re.compile(r"\bCall From \S+ to [\w.-]+:1 "), "Call From HOST to ADDRESS "),
            (re.compile(rf"\bipc\.{port}\b"), "ipc.PORT"),
        ]

    def even(self, text: str) -> str:
        """The text as any run would have it."""
        text = text.replace(self._local, "LOCAL")
        for pattern, instead in self._rules:
            text = pattern.sub(instead, text)
        text = _LONG_DATE.sub("TIME", text)
        text = _DATE.sub(lambda found: "TIME" if _is_near(found[1]) else found[0], text)
        return _MILLISECONDS.sub(lambda found: "MILLIS" if _is_now(int(found[0])) else found[0], text)


def _is_near(date: str) -> bool:
    """Whether a date is today's: older ones were set by a command."""
    try:
        when = datetime.strptime(date, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - when) < _NEAR


def _is_now(milliseconds: int) -> bool:
    return abs(datetime.now(UTC).timestamp() - milliseconds / 1000) < _NEAR.total_seconds()


def sizes(text: str) -> str:
    """Without the sizes of disks and shares of them, nor counts of blocks that lag behind."""
    text = re.sub(r"(Under replicated|[Ll]ow redundancy|Pending deletion|Num of)(.*: )\d+", r"\1\2N", text)
    text = re.sub(r"\b\d+ \([\d.]+ [KMGTP]?B\)", "SIZE", text)
    return re.sub(r"[\d.]+%", "SHARE", text)


def numbers(text: str) -> str:
    """Without any numbers, nor the width of the columns that hold them."""
    text = re.sub(r"\b\d[\d.,]*( [KMGTP]?B?\b)?", "N", text)
    return re.sub(r" +", " ", text)


def ends(text: str) -> str:
    """The first and the last lines of many, and how many there are."""
    lines = text.splitlines()
    if len(lines) < 10:
        return text
    return "\n".join([*lines[:3], f"... {len(lines)} lines ...", *lines[-3:]]) + "\n"
