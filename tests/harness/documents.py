"""Documents' examples, run as they stand: one terminal, one shell, the default ports."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.harness.process import Server

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The examples use the default ports: a network of its own, with loopback only, has them free.
OWN_NETWORK = ("unshare", "--net", "bash", "-c", 'ip link set lo up && exec "$@"', "bash")


def script(text: str) -> str:
    """All examples as one shell script: what somebody pastes into one terminal."""
    parts = ["set -euo pipefail"]
    for language, code in BLOCK.findall(text):
        parts.append(code if language == "bash" else f"python - <<'END_OF_EXAMPLE'\n{code}END_OF_EXAMPLE")
    assert len(parts) > 6, "the document has lost its examples"
    return "\n".join(parts)


def run_beside(
    server: Server,
    text: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 240.0,
) -> subprocess.CompletedProcess[str]:
    """Run a script in the network of a server that was started with ``OWN_NETWORK``."""
    return subprocess.run(
        ["nsenter", f"--net=/proc/{server.pid}/ns/net", "bash", "-c", text],
        capture_output=True,
        text=True,
        cwd=directory,
        env=None if environment is None else dict(environment),
        timeout=seconds,
        check=False,
    )
