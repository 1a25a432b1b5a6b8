"""The small protocols of Hadoop's administration tools on a namenode's port.

Groups of users, refreshing what is remembered, the state of high availability, reconfiguration. They are
rare and may wait for the system's databases of users, so each call is carried out on a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from google.protobuf.message import DecodeError

from oastfs.core.errors import NoSuchVerb, ProtocolError
from oastfs.namenode.hdfs.errors import ACCESS_CONTROL, HdfsError, describe
from oastfs.namenode.hdfs.handler import ClientProtocolHandler
from oastfs.namenode.hdfs.names import groups_of
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Deferred
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics
from oastfs.wire.hadoop_rpc import Request
from oastfs.wire.proto import administration_pb2 as pb

GROUPS: Final = "org.apache.hadoop.tools.GetUserMappingsProtocol"
REFRESH_GROUPS: Final = "org.apache.hadoop.security.RefreshUserMappingsProtocol"
REFRESH_POLICY: Final = "org.apache.hadoop.security.authorize.RefreshAuthorizationPolicyProtocol"
REFRESH_QUEUE: Final = "org.apache.hadoop.ipc.RefreshCallQueueProtocol"
RECONFIGURE: Final = "org.apache.hadoop.hdfs.protocol.ReconfigurationProtocol"
HIGH_AVAILABILITY: Final = "org.apache.hadoop.ha.HAServiceProtocol"

_clock_ns = time.perf_counter_ns


class AdministrationHandler(Handler):
    """All of these protocols; their names are the keys of ``calls``."""

    def __init__(
        self, namespace: Namespace, hdfs: ClientProtocolHandler, completions: Completions, metrics: Metrics
    ) -> None:
        self._namespace = namespace
        self._hdfs = hdfs
        self._completions = completions
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="administration")
        self.calls: dict[str, dict[str, Callable[[str, bytes], bytes]]] = {
            GROUPS: {"getGroupsForUser": _groups},
            REFRESH_GROUPS: {
                "refreshUserToGroupsMappings": self._refresh_groups,
                "refreshSuperUserGroupsConfiguration": self._nothing,
            },
            REFRESH_POLICY: {"refreshServiceAcl": self._refuse_policy},
            REFRESH_QUEUE: {"refreshCallQueue": self._nothing},
            RECONFIGURE: {
                "getReconfigurationStatus": self._reconfiguration,
                "listReconfigurableProperties": self._reconfigurable,
                "startReconfiguration": self._nothing,
            },
            HIGH_AVAILABILITY: {
                "monitorHealth": _well,
                "getServiceStatus": _active,
                "transitionToActive": self._nothing,
                "transitionToStandby": self._refuse_standby,
                "transitionToObserver": self._refuse_standby,
            },
        }

    def close(self) -> None:
        """Wait for calls under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def describe(self, error: BaseException) -> tuple[str, str]:
        return describe(error)

    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        function = self.calls[request.protocol].get(request.method)
        if function is None:
            raise NoSuchVerb(f"Unknown method {request.method} called on {request.protocol} protocol.")
        user, body = connection.user, bytes(request.body)
        figures = self._metrics.verb(request.method)
        later = Deferred(self, self._completions, request, connection, figures, _clock_ns(), _same)
        later.begin()

        def carry_out() -> None:
            try:
                answer = function(user, body)
            except BaseException as error:
                later.done(None, error)
            else:
                later.done(answer, None)

        self._threads.submit(carry_out)
        return None

    # --- calls, each given who asks and the encoded request ---------------------------------------------

    def _require_superuser(self, user: str) -> None:
        caller = self._hdfs.names.caller(user) or self._hdfs.enter(user)
        if not self._namespace.context(caller).superuser:
            raise HdfsError(ACCESS_CONTROL, f"Access denied for user {user}. Superuser privilege is required")

    def _nothing(self, user: str, body: bytes) -> bytes:
        self._require_superuser(user)
        return b""

    def _refresh_groups(self, user: str, body: bytes) -> bytes:
        self._require_superuser(user)
        self._hdfs.names.forget()
        return b""

    def _refuse_policy(self, user: str, body: bytes) -> bytes:
        self._require_superuser(user)
        raise HdfsError(
            "org.apache.hadoop.security.authorize.AuthorizationException",
            "Service Level Authorization not enabled!",
        )

    def _reconfiguration(self, user: str, body: bytes) -> bytes:
        """None was ever begun: a namenode is configured by its command line."""
        self._require_superuser(user)
        return pb.GetReconfigurationStatusResponse(startTime=0).SerializeToString()

    def _reconfigurable(self, user: str, body: bytes) -> bytes:
        self._require_superuser(user)
        return pb.ListReconfigurablePropertiesResponse().SerializeToString()

    def _refuse_standby(self, user: str, body: bytes) -> bytes:
        self._require_superuser(user)
        raise HdfsError(
            "org.apache.hadoop.ha.ServiceFailedException", "every namenode is active: stop it instead"
        )


def _groups(user: str, body: bytes) -> bytes:
    try:
        wanted = pb.GetGroupsForUserRequest.FromString(body).user
    except DecodeError:
        raise ProtocolError("the request of getGroupsForUser cannot be read") from None
    return pb.GetGroupsForUserResponse(groups=groups_of(wanted)).SerializeToString()


def _well(user: str, body: bytes) -> bytes:
    """Who can ask this is answered: a namenode that is not well does not serve."""
    return b""


def _active(user: str, body: bytes) -> bytes:
    """Any namenode serves any call."""
    return pb.GetServiceStatusResponse(state=pb.ACTIVE, readyToBecomeActive=True).SerializeToString()


def _same(answer: Any) -> bytes:
    assert isinstance(answer, bytes)
    return answer
