"""Skipped tests: fine on a machine that lacks something, but not where everything is to be tested.

With ``CI`` set, a run ends as failed if a test was skipped for another reason than those listed here.
"""

from __future__ import annotations

import os
import re

import pytest

ALLOWED = re.compile(r"torch|passes nothing through|OASTFS_REFERENCE_HDFS|through libfuse|build_citus")
"""PyTorch is too large to be installed for tests; a real HDFS is compared with where there is one; what the
portable binding of the mount cannot do is tested with the other, and what older kernels cannot do with newer
ones; Citus is in no registry of packages."""


class SkipWatch:
    """A plugin that notes what was skipped, and why."""

    def __init__(self) -> None:
        self.unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report.nodeid, report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report.nodeid, report)

    def _note(self, name: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not ALLOWED.search(reason):
            self.unexpected.append(f"{name}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected and os.environ.get("CI"):
            terminalreporter.section("skipped, which fails the run")
            for line in self.unexpected:
                terminalreporter.line(line)
