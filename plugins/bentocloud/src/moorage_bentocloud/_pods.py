"""The pods of a deployment, which the service tells over WebSockets."""

from moorage.errors import NotFoundError, TimedOutError
from moorage.plugin.transport import Query, WebSocket

from . import _reply
from ._connection import Connection
from ._errors import told
from ._wire_deployments import Deployment, KubePod, PodsMessage


def builder_pods(connection: Connection, deployment: Deployment) -> list[KubePod]:
    """Return the pods of the bento that a deployment runs, its image builder among them.

    Raises:
        NotFoundError: The deployment runs no bento.
    """
    repository, version = bento_of(deployment)
    cluster = deployment.cluster
    socket = connection.sockets.connect(
        "/ws/v1/clusters/{cluster}/pods",
        {"cluster": cluster.name if cluster else ""},
        query=_query(
            deployment,
            namespace=deployment.kube_namespace,
            selector=f"yatai.ai/bento-repository={repository},yatai.ai/bento={version}",
        ),
    )
    return _first(connection, socket)


def deployment_pods(
    connection: Connection, deployment: Deployment, name: str = ""
) -> list[KubePod]:
    """Return the pods of a deployment, by the name that it was asked for by.

    Raises:
        NotFoundError: The deployment runs no bento.
    """
    bento_of(deployment)
    cluster = deployment.cluster
    socket = connection.sockets.connect(
        "/ws/v2/deployments/{name}/pods",
        {"name": name or deployment.name},
        query=_query(deployment, cluster=cluster.name if cluster else ""),
    )
    return _first(connection, socket)


def bento_of(deployment: Deployment) -> tuple[str, str]:
    """Return the repository and the version of what a deployment runs.

    Raises:
        NotFoundError: It has no revision, no target or no bento.
    """
    revision = deployment.latest_revision
    target = revision.targets[0] if revision is not None and revision.targets else None
    bento = target.bento if target is not None else None
    if bento is None:
        what = (
            "no revision"
            if revision is None
            else "no target"
            if target is None
            else "a target without a bento"
        )
        raise NotFoundError(
            f"deployment {deployment.name!r} has {what}, and so no pods",
            hint="deploy a bento to it first",
        )
    return bento.repository.name if bento.repository else "", bento.version or bento.name


def _query(deployment: Deployment, **more: str) -> Query:
    cluster = deployment.cluster
    return {"organization_name": cluster.organization_name if cluster else "", **more}


def _first(connection: Connection, socket: WebSocket) -> list[KubePod]:
    """Return what the first message lists that is no heartbeat, and close the connection."""
    clock = connection.clock
    limit_s = connection.options.read_timeout
    until = clock.monotonic() + limit_s
    with socket:
        while True:
            left_s = until - clock.monotonic()
            if left_s <= 0:
                raise TimedOutError(f"the service listed no pods within {limit_s:g} s")
            text = socket.receive(bytes, timeout=left_s)
            message = _reply.decode(text, PodsMessage, "the list of pods")
            if message.type == "heartbeat":
                continue
            if message.type == "error":
                raise told("the service lists no pods", message.message)
            return list(message.payload or ())
