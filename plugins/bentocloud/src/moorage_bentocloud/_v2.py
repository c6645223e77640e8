"""The second API: deployments, their pods, files and logs, and the instance types."""

import threading
from collections.abc import Iterator

from ._connection import Connection
from ._schema import Given
from ._wire import Page, ResourceInstance
from ._wire_deployments import (
    CreateDeployment,
    DeleteFiles,
    Deployment,
    DeploymentFiles,
    KubePod,
    UpdateDeployment,
    UploadFiles,
)

_ALL = "/api/v2/deployments"
_ONE = f"{_ALL}/{{name}}"
_FILES = f"{_ONE}/files"
_UPLOAD_S = 600.0


class V2:
    """Every call of the second API.

    `cluster` is where; without it the service takes the organization's first cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create_deployment(
        self, create_schema: Given[CreateDeployment], cluster: str | None = None
    ) -> Deployment:
        """Create a deployment.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        return self._connection.ask(
            "POST",
            _ALL,
            {},
            Deployment,
            query={"cluster": cluster},
            schema=(create_schema, CreateDeployment),
        )

    def update_deployment(
        self, name: str, update_schema: Given[UpdateDeployment], cluster: str | None = None
    ) -> Deployment:
        """Replace all that a deployment was told.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask(
            "PUT",
            _ONE,
            {"name": name},
            Deployment,
            query={"cluster": cluster},
            schema=(update_schema, UpdateDeployment),
        )

    def void_update_deployment(self, name: str, cluster: str | None = None) -> Deployment:
        """Deploy again what was deployed last.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask(
            "PUT", f"{_ONE}/void_update", {"name": name}, Deployment, query={"cluster": cluster}
        )

    def get_deployment(self, name: str, cluster: str | None = None) -> Deployment:
        """Return a deployment.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask(
            "GET", _ONE, {"name": name}, Deployment, query={"cluster": cluster}
        )

    def list_deployment(
        self,
        cluster: str | None = None,
        all: bool | None = None,  # noqa: A002, FBT001  # as in the API's own client
        count: int | None = None,
        q: str | None = None,
        search: str | None = None,
        start: int | None = None,
    ) -> Page[Deployment]:
        """Return some deployments.

        Args:
            cluster: Of this cluster.
            all: Of all clusters; without it and without a cluster, of the first one.
            count: How many.
            q: Terms of the service's search language, `label:stage=dev` for example.
            search: A part of the name.
            start: How many to skip.
        """
        query = {
            "cluster": cluster,
            "all": all,
            "count": count,
            "q": q,
            "search": search,
            "start": start,
        }
        return self._connection.ask("GET", _ALL, {}, Page[Deployment], query=query)

    def terminate_deployment(self, name: str, cluster: str | None = None) -> Deployment:
        """Begin to stop a deployment, which stays defined.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask(
            "POST",
            f"{_ONE}/terminate",
            {"name": name},
            Deployment,
            query={"cluster": cluster},
            repeatable=True,
        )

    def delete_deployment(self, name: str, cluster: str | None = None) -> Deployment:
        """Delete a deployment.

        Raises:
            NotFoundError: There is none.
            ConflictError: It was not terminated before.
        """
        return self._connection.ask(
            "DELETE", _ONE, {"name": name}, Deployment, query={"cluster": cluster}
        )

    def list_instance_types(self, cluster: str | None = None) -> list[ResourceInstance]:
        """Return the machines that replicas can run on."""
        return self._connection.ask(
            "GET", "/api/v1/instance_types", {}, list[ResourceInstance], query={"cluster": cluster}
        )

    def get_deployment_image_builder_pod(
        self, name: str, cluster: str | None = None
    ) -> KubePod | None:
        """Return the pod that builds a deployment's image; `None` where none does now.

        Raises:
            NotFoundError: There is no such deployment, or it has no bento.
            TimedOutError: The service did not answer.
        """
        from ._pods import builder_pods

        pods = builder_pods(self._connection, self.get_deployment(name, cluster))
        return next((pod for pod in pods if pod.is_image_builder), None)

    def list_deployment_pods(self, name: str, cluster: str | None = None) -> list[KubePod]:
        """Return the pods of a deployment.

        Raises:
            NotFoundError: There is no such deployment, or it has no bento.
            TimedOutError: The service did not answer.
        """
        from ._pods import deployment_pods

        return deployment_pods(self._connection, self.get_deployment(name, cluster), name)

    def tail_logs(
        self,
        *,
        cluster_name: str,
        namespace: str,
        pod_name: str,
        container_name: str = "main",
        stop_event: threading.Event | None = None,
        tail_lines: int = 50,
        follow: bool = True,
    ) -> Iterator[str]:
        """Yield a container's log as it comes: each item is base64 of the log's bytes.

        An item need not end where a line or a character does: join the bytes before decoding
        them. The connection opens with the first item asked for.

        Args:
            cluster_name: The deployment's cluster.
            namespace: The deployment's namespace.
            pod_name: Which pod.
            container_name: `main`, or `builder` of an image builder.
            stop_event: Ends it at once where it is set, and is set at the end.
            tail_lines: How many lines that are there already are wanted.
            follow: Whether to go on with what is written from now on.

        Raises:
            UnavailableError: The connection was lost, or the service ended it with an error.
        """
        from . import _tail

        # One generator fewer, of which each line would have to pass through every one.
        return _tail.items(
            lambda: _tail.open_tail(
                self._connection,
                cluster=cluster_name,
                namespace=namespace,
                pod=pod_name,
                container=container_name,
                follow=follow,
                tail_lines=tail_lines,
            ),
            stop_event,
        )

    def upload_files(
        self, name: str, files: Given[UploadFiles], cluster: str | None = None
    ) -> None:
        """Put files into a deployment that is being developed.

        Raises:
            NotFoundError: There is no such deployment.
        """
        self._connection.tell(
            "POST",
            _FILES,
            {"name": name},
            query={"cluster": cluster},
            schema=(files, UploadFiles),
            timeout=_UPLOAD_S,
            repeatable=True,
        )

    def delete_files(
        self, name: str, paths: Given[DeleteFiles], cluster: str | None = None
    ) -> None:
        """Remove files of a deployment that is being developed.

        Raises:
            NotFoundError: There is no such deployment.
        """
        self._connection.tell(
            "DELETE",
            _FILES,
            {"name": name},
            query={"cluster": cluster},
            schema=(paths, DeleteFiles),
            repeatable=True,
        )

    def list_files(self, name: str, cluster: str | None = None) -> DeploymentFiles:
        """Return the files of a deployment that is being developed.

        Raises:
            NotFoundError: There is no such deployment.
        """
        return self._connection.ask(
            "GET", _FILES, {"name": name}, DeploymentFiles, query={"cluster": cluster}
        )
