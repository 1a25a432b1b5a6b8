"""Java programs of Hadoop under test: many commands in one JVM, each with its own user, settings and streams.

A JVM takes a second to start and FsShell another to load, so a battery of commands shares one. It is
driven through Py4J's gateway, which Spark's jars bring: a Java runtime is enough, no compiler.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness.logs import tail
from tests.harness.waiting import wait_until

CLIENT_JARS = (
    "commons-codec-*",
    "hadoop-client-api-*",
    "hadoop-client-runtime-*",
    "jcl-over-slf4j-*",
    "log4j-api-*",
    "log4j-core-*",
    "log4j-slf4j2-impl-*",
    "py4j-*",
    "slf4j-api-*",
)
"""What of Spark's jars Hadoop's clients need: FsShell, FileSystem, FileContext."""

START_SECONDS = 60.0
COMMAND_SECONDS = 120.0

_CORE_SITE = '<?xml version="1.0"?><configuration/>\n'
# Hadoop's remarks go to the JVM's log, not among what a command prints.
_LOG4J = """\
log4j.rootLogger=WARN,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d %p %c: %m%n
"""


def spark_jars() -> Path | None:
    """The directory of Spark's jars, if there is Java and PySpark."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None or shutil.which("java") is None:
        return None
    return Path(spec.origin).parent / "jars"


def client_jars() -> list[Path]:
    """Hadoop's clients as Spark brings them; empty if they are not installed."""
    jars = spark_jars()
    return [] if jars is None else _pick(jars, CLIENT_JARS)


def tool_jars() -> list[Path]:
    """Hadoop's administration tools (scripts/setup_hadoop_tools.py); empty if they are not installed."""
    directory, jars = Path(sys.prefix) / "share" / "hadoop-tools", spark_jars()
    if jars is None or not (directory / "complete").exists():
        return []
    return sorted(directory.glob("*.jar")) + _pick(jars, ("commons-codec-*", "py4j-*"))


def _pick(directory: Path, patterns: Iterable[str]) -> list[Path]:
    found = [sorted(directory.glob(f"{pattern}.jar")) for pattern in patterns]
    return [path for paths in found for path in paths] if all(found) else []


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    code: int
    out: str
    err: str


class Jvm:
    """A JVM with a gateway. Use it as a context: it is stopped, by its own pid, at the end."""

    def __init__(self, name: str, jars: Sequence[Path], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._jars = list(jars)
        self._configuration = directory / f"{name}-configuration"
        self._process: subprocess.Popen[bytes] | None = None
        self._gateway: Any = None

    def __enter__(self) -> Jvm:
        self._configuration.mkdir(parents=True, exist_ok=True)
        (self._configuration / "core-site.xml").write_text(_CORE_SITE)
        (self._configuration / "log4j.properties").write_text(_LOG4J)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def java(self) -> Any:
        """Java's packages: ``jvm.java.org.apache.hadoop.fs.Path("/")``."""
        return self._gateway.jvm

    def array(self, kind: Any, values: Sequence[Any]) -> Any:
        """A Java array."""
        made = self._gateway.new_array(kind, len(values))
        for index, value in enumerate(values):
            made[index] = value
        return made

    def bytes_of(self, stream: Any) -> bytes:
        """What a ByteArrayOutputStream has taken up."""
        return bytes(stream.toByteArray())

    def read_all(self, stream: Any) -> bytes:
        """What an InputStream holds; it is closed."""
        taken = self.java.java.io.ByteArrayOutputStream()
        try:
            self.java.org.apache.hadoop.io.IOUtils.copyBytes(stream, taken, 65536, False)
        finally:
            stream.close()
        return self.bytes_of(taken)

    def login(self, user: str) -> None:
        """Be this user in what follows."""
        groups = self.java.org.apache.hadoop.security.UserGroupInformation
        groups.setLoginUser(groups.createRemoteUser(user))

    def configuration(self, settings: Mapping[str, str]) -> Any:
        """A Hadoop Configuration."""
        made = self.java.org.apache.hadoop.conf.Configuration()
        for key, value in settings.items():
            made.set(key, value)
        return made

    def run(
        self,
        tool: str,
        arguments: Sequence[str],
        *,
        user: str = "root",
        settings: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Done:
        """Run a class that implements Hadoop's Tool, as its ``main`` does."""
        from py4j.protocol import Py4JNetworkError

        out, err = (self.java.java.io.ByteArrayOutputStream() for _ in range(2))
        try:
            code = self._run(tool, arguments, user, settings or {}, stdin, out, err)
        except Py4JNetworkError as error:
            what = f"{tool} {' '.join(arguments)}"
            raise AssertionError(f"{what}: no end ({error})\n{self._thread_dump()}") from None
        texts = (self.bytes_of(stream).decode(errors="replace") for stream in (out, err))
        return Done(code, *texts)

    def _run(
        self,
        tool: str,
        arguments: Sequence[str],
        user: str,
        settings: Mapping[str, str],
        stdin: bytes,
        out: Any,
        err: Any,
    ) -> int:
        from py4j.protocol import Py4JJavaError

        java, system = self.java, self.java.java.lang.System
        self.login(user)
        previous = system.out, system.err
        system.setIn(java.java.io.ByteArrayInputStream(stdin))
        system.setOut(java.java.io.PrintStream(out, True, "UTF-8"))
        system.setErr(java.java.io.PrintStream(err, True, "UTF-8"))
        try:
            configuration = self.configuration(settings)
            made = self._make(tool, configuration)
            texts = self.array(java.java.lang.String, arguments)
            return int(java.org.apache.hadoop.util.ToolRunner.run(configuration, made, texts))
        except Py4JJavaError as error:
            system.err.println(f'Exception in thread "main" {error.java_exception.toString()}')
            return 1
        finally:
            system.out.flush()
            system.setOut(previous[0])
            system.setErr(previous[1])
            # As at the end of a process. The next command has other settings, perhaps.
            java.org.apache.hadoop.fs.FileSystem.closeAll()

    def _make(self, tool: str, configuration: Any) -> Any:
        reflected = self.java.java.lang.Class.forName(tool)
        objects = self.java.java.lang.Object
        for constructor in reflected.getConstructors():
            parameters = [kind.getName() for kind in constructor.getParameterTypes()]
            if parameters == ["org.apache.hadoop.conf.Configuration"]:
                return constructor.newInstance(self.array(objects, [configuration]))
        return reflected.getConstructor(self.array(self.java.java.lang.Class, [])).newInstance(
            self.array(objects, [])
        )

    def _start(self) -> None:
        from py4j.java_gateway import GatewayParameters, JavaGateway

        # Py4J tells of every object that it could not release once the JVM is gone.
        logging.getLogger("py4j").setLevel(logging.CRITICAL)
        classpath = [str(self._configuration), *map(str, self._jars)]
        options = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"]
        options += ["-Dlog4j2.level=WARN", "-Duser.timezone=UTC", "-Djava.net.preferIPv4Stack=true"]
        # The JVM ends when its standard input does: it does not outlive this process.
        gateway = ["py4j.GatewayServer", "--die-on-broken-pipe", "0"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["java", *options, "-cp", ":".join(classpath), *gateway],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._configuration,
                env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            )

        def port() -> str:
            assert self._process is not None and self._process.poll() is None, tail(self.log)
            found = re.search(r"^(\d+)$", self.log.read_text(errors="replace"), re.M)
            return found[1] if found else ""

        number = int(wait_until(port, f"the port of the JVM {self.name}", START_SECONDS))
        self._gateway = JavaGateway(
            gateway_parameters=GatewayParameters(port=number, auto_convert=True, read_timeout=COMMAND_SECONDS)
        )
        # Loggers keep the streams that they find now.
        self.java.org.slf4j.LoggerFactory.getLogger("org.apache.hadoop")

    def kill(self) -> None:
        """SIGKILL: what runs in it has no chance to finish."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self.stop()

    def stop(self) -> None:
        """End the JVM."""
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def _thread_dump(self) -> str:
        """What the JVM's threads are at, from its log; the JVM is of no use afterwards and is ended."""
        assert self._process is not None
        before = self.log.stat().st_size
        self._process.send_signal(signal.SIGQUIT)
        wait_until(lambda: b"JNI global" in self.log.read_bytes()[before:], "a thread dump", 10)
        self._process.kill()
        return tail(self.log, 400)
