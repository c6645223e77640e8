"""Deployments: every change is an operation of the cloud, which is looked at until it ends."""

from collections.abc import Mapping

from moorage.errors import InvalidRequestError
from moorage.plugin import (
    CallRequest,
    Deployment,
    DeploymentSpec,
    Page,
    Reply,
    Step,
)

from ._client import Client
from ._wire import WireDeployment, WireOperation, from_spec, to_deployment, to_operation_state

_OPERATION = "operation"
"""Where the id of an operation stands in a step, and so in the token of a call."""


class Deployments:
    """The deployments of one project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace the revision that is there."""
        revision = None if current is None else current.revision
        return self._step(
            self._client.put_deployment(spec.name, from_spec(spec), revision=revision)
        )

    def get(self, name: str, /) -> Deployment:
        """Return one deployment."""
        return self._deployment(self._client.get_deployment(name))

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return one page, by name."""
        page = self._client.list_deployments(page=page_token)
        return Page(items=tuple(map(self._deployment, page.items)), next_token=page.next)

    def start(self, name: str, /) -> Step[Deployment]:
        """Begin to start a deployment."""
        return self._step(self._client.start_deployment(name))

    def stop(self, name: str, /) -> Step[Deployment]:
        """Begin to stop a deployment."""
        return self._step(self._client.halt_deployment(name))

    def delete(self, name: str, /) -> Step[Deployment]:
        """Begin to delete a deployment."""
        return self._step(self._client.delete_deployment(name))

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Look once how far an operation is; the cloud does all of its steps by itself."""
        operation = native.get(_OPERATION)
        if operation is None:
            raise InvalidRequestError(f"the token of {kind} names no operation")
        return self._step(self._client.get_operation(operation))

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to a deployment's app and return what it answers."""
        return self._client.call_app(name, request)

    def _step(self, wire: WireOperation) -> Step[Deployment]:
        return Step(
            state=to_operation_state(wire.status),
            native={_OPERATION: wire.id},
            resource=None if wire.deployment is None else self._deployment(wire.deployment),
            message=wire.reason,
            wait_s=wire.poll_after,
        )

    def _deployment(self, wire: WireDeployment) -> Deployment:
        return to_deployment(wire, self._client.app_url(wire.name))
