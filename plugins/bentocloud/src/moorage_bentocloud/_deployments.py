"""Deployments of the cloud."""

from collections.abc import Mapping

import msgspec

from moorage.errors import (
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
)
from moorage.plugin import (
    CallRequest,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    OperationState,
    Page,
    Reply,
    Step,
)

from ._deployment_config import live_request, ref_of, to_request, to_spec
from ._endpoint import Endpoint
from ._transfer import DONE
from ._v1 import V1
from ._v2 import V2
from ._wire_deployments import CreateDeployment
from ._wire_deployments import Deployment as WireDeployment
from ._wire_store import BentoManifest

_PAGE_LENGTH = 2000
_WAIT_S = 1.0

_STATES = {
    "unknown": DeploymentState.UNKNOWN,
    "non-deployed": DeploymentState.PENDING,
    "running": DeploymentState.READY,
    "scaled-to-zero": DeploymentState.READY,
    "unhealthy": DeploymentState.DEGRADED,
    "failed": DeploymentState.FAILED,
    "deploying": DeploymentState.DEPLOYING,
    "image-building": DeploymentState.DEPLOYING,
    "image-build-succeeded": DeploymentState.DEPLOYING,
    "image-build-failed": DeploymentState.FAILED,
    "terminating": DeploymentState.STOPPING,
    "terminated": DeploymentState.STOPPED,
}
_STOPPED = "terminated"
_STOPPING = "terminating"


class Deployments:
    """The deployments of one account, or of one cluster of it."""

    def __init__(self, v1: V1, v2: V2, endpoint: Endpoint, cluster: str | None) -> None:
        self._v1 = v1
        self._v2 = v2
        self._endpoint = endpoint
        self._cluster = cluster

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace what one runs.

        Raises:
            AlreadyExistsError: `current` is `None` and the name is taken.
            ConflictError: `current` is not what is there any more.
            InvalidRequestError: An option cannot be used.
            NotFoundError: There is no such bento or secret.
        """
        manifest = self._manifest(spec)
        request = to_request(spec, manifest)
        self._check_wanted(spec, manifest)
        if current is None:
            made = self._create(spec, request)
        else:
            found = self._v2.get_deployment(spec.name, self._cluster)
            # The cloud takes the last word of whoever comes: this is as near to a check as it gets.
            if _revision(found) != current.revision:
                raise ConflictError(
                    f"deployment {spec.name!r} was changed meanwhile",
                    hint="look at it and deploy again",
                )
            made = self._v2.update_deployment(spec.name, request, _cluster_of(found))
        return _running(made, until=DeploymentState.READY)

    def get(self, name: str, /) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        return to_deployment(self._v2.get_deployment(name, self._cluster))

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return one page, of the profile's cluster or of all."""
        start = int(page_token) if page_token is not None and page_token.isdecimal() else 0
        if page_token is not None and str(start) != page_token:
            raise InvalidRequestError("this is no token of this listing")
        page = self._v2.list_deployment(
            cluster=self._cluster,
            all=None if self._cluster else True,
            count=_PAGE_LENGTH,
            start=start,
        )
        after = start + len(page.items)
        more = bool(page.items) and (
            after < page.total if page.total else len(page.items) == _PAGE_LENGTH
        )
        return Page(
            items=tuple(map(to_deployment, page.items)), next_token=str(after) if more else None
        )

    def start(self, name: str, /) -> Step[Deployment]:
        """Begin to start a stopped or failed deployment; one that runs is left as it is.

        Raises:
            NotFoundError: There is none.
            ConflictError: The cloud does not tell what it ran.
        """
        found = self._v2.get_deployment(name, self._cluster)
        if found.status not in {_STOPPED, _STOPPING, "failed", "image-build-failed"}:
            return _running(found, until=DeploymentState.READY)
        request = live_request(found)
        if request is None:
            raise ConflictError(
                f"the cloud does not tell what deployment {name!r} ran",
                hint="deploy it again",
            )
        made = self._v2.update_deployment(name, request, _cluster_of(found))
        return _running(made, until=DeploymentState.READY)

    def stop(self, name: str, /) -> Step[Deployment]:
        """Begin to stop a deployment; one that is stopped is done at once.

        Raises:
            NotFoundError: There is none.
        """
        found = self._v2.get_deployment(name, self._cluster)
        if found.status not in {_STOPPED, _STOPPING}:
            found = self._v2.terminate_deployment(name, _cluster_of(found))
        return _running(found, until=DeploymentState.STOPPED)

    def delete(self, name: str, /) -> Step[Deployment]:
        """Begin to delete a deployment, which the cloud wants to be stopped before.

        Raises:
            NotFoundError: There is none.
        """
        found = self._v2.get_deployment(name, self._cluster)
        cluster = _cluster_of(found)
        if found.status == _STOPPED:
            return self._gone(name, found.uid, cluster)
        if found.status != _STOPPING:
            found = self._v2.terminate_deployment(name, cluster)
        return _running(found, until=DeploymentState.TERMINATED)

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Look once how far a call is."""
        name, cluster = native["name"], native["cluster"] or None
        try:
            found = self._v2.get_deployment(name, cluster)
        except NotFoundError:
            if kind == "deployments.delete":
                return Step(state=OperationState.SUCCEEDED, native=dict(native))
            raise
        if found.uid != native["id"]:
            if kind == "deployments.delete":  # somebody has made another one since
                return Step(state=OperationState.SUCCEEDED, native=dict(native))
            return _ended(found, native, "it was deleted, and another one was made since")
        until = DeploymentState(native["until"])
        if until is DeploymentState.TERMINATED:
            if found.status == _STOPPED:
                return self._gone(name, found.uid, cluster)
            return _running(found, until=until)
        if until is DeploymentState.READY and _revision(found) != native["revision"]:
            return _ended(found, native, "something else was deployed since")
        return _running(found, until=until, revision=native["revision"])

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to the deployment's endpoint and return what the app answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            UnavailableError: It cannot be reached.
        """
        return self._endpoint.call(self._v2.get_deployment(name, self._cluster), request)

    def _create(self, spec: DeploymentSpec, request: msgspec.Struct) -> WireDeployment:
        fields = {field: getattr(request, field) for field in request.__struct_fields__}
        return self._v2.create_deployment(CreateDeployment(**fields, name=spec.name), self._cluster)

    def _manifest(self, spec: DeploymentSpec) -> BentoManifest | None:
        """Return what the bento says of itself.

        Raises:
            NotFoundError: There is none.
            ConflictError: Its bytes are not there.
        """
        ref = spec.artifact
        bento = self._v1.get_bento(ref.name, ref.version or "")
        if bento is None:
            raise NotFoundError(f"no bento {ref}", hint="push it first; a model cannot be deployed")
        if bento.upload_status not in {DONE, ""}:
            raise ConflictError(
                f"the upload of bento {ref} is {bento.upload_status}, so that it cannot run",
                hint="push it again",
            )
        return bento.manifest

    def _check_wanted(self, spec: DeploymentSpec, manifest: BentoManifest | None) -> None:
        """Check that the variables which a bento wants to be given are given.

        Raises:
            InvalidRequestError: One is not.
            NotFoundError: There is no such secret.
        """
        wanted = {
            env.name
            for env in (manifest.envs if manifest is not None else ())
            if not env.value and env.stage != "build" and env.name not in spec.env
        }
        for name in spec.secrets if wanted else ():
            content = self._v1.get_secret(name, self._cluster).content
            if content.type == "env":
                wanted -= {item.key for item in content.items}
        if wanted:
            missing = ", ".join(sorted(wanted))
            raise InvalidRequestError(
                f"bento {spec.artifact} wants variables that are not given: {missing}",
                hint="give them as env, or by a secret with these keys",
                fields={f"env.{name}": "wanted by the bento" for name in sorted(wanted)},
            )

    def _gone(self, name: str, uid: str, cluster: str | None) -> Step[Deployment]:
        try:
            self._v2.delete_deployment(name, cluster)
        except NotFoundError:
            pass
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            # Looking again tells whether it is gone.
            native = _native(name, uid, cluster, "", DeploymentState.TERMINATED)
            return Step(state=OperationState.RUNNING, native=native)
        return Step(
            state=OperationState.SUCCEEDED,
            native=_native(name, uid, cluster, "", DeploymentState.TERMINATED),
        )


def to_deployment(wire: WireDeployment) -> Deployment:
    """Translate; a status that we have not met becomes `UNKNOWN`, never an error."""
    revision = _revision(wire)
    return Deployment(
        id=wire.uid,
        name=wire.name,
        state=_STATES.get(wire.status, DeploymentState.UNKNOWN),
        native_state=wire.status,
        message=_MESSAGES.get(wire.status, ""),
        artifact=ref_of(wire.main_target),
        spec=to_spec(wire),
        revision=revision,
        url=next(iter(wire.urls), None),
        created_at=wire.created_at,
        updated_at=wire.updated_at,
        raw=wire,
    )


_MESSAGES = {
    "image-building": "its image is being built",
    "image-build-failed": "its image could not be built; the log of its builder tells why",
    "scaled-to-zero": "no replica runs until a request comes",
    "failed": "no replica runs",
}


def _revision(wire: WireDeployment) -> str | None:
    return wire.latest_revision.uid if wire.latest_revision is not None else None


def _cluster_of(wire: WireDeployment) -> str | None:
    return (wire.cluster.name if wire.cluster is not None else None) or None


def _native(
    name: str, uid: str, cluster: str | None, revision: str | None, until: DeploymentState
) -> dict[str, str]:
    return {
        "name": name,
        "id": uid,
        "cluster": cluster or "",
        "revision": revision or "",
        "until": str(until),
    }


def _running(
    wire: WireDeployment, *, until: DeploymentState, revision: str | None = None
) -> Step[Deployment]:
    """Return how far a deployment is on its way to a state."""
    deployment = to_deployment(wire)
    state = OperationState.RUNNING
    message = deployment.message
    if deployment.state is until:
        state = OperationState.SUCCEEDED
    elif deployment.state in _HOPELESS[until] and revision is not None:
        # Right after a change the status may still be the one of before.
        state = OperationState.FAILED
        message = message or f"it is {wire.status}"
    return Step(
        state=state,
        native=_native(wire.name, wire.uid, _cluster_of(wire), revision or _revision(wire), until),
        resource=deployment,
        message=message or wire.status,
        wait_s=_WAIT_S if wire.status.startswith("image-") else None,
    )


_HOPELESS: Mapping[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.READY: frozenset({DeploymentState.FAILED, DeploymentState.STOPPED}),
    DeploymentState.STOPPED: frozenset(),
    DeploymentState.TERMINATED: frozenset(),
}


def _ended(found: WireDeployment, native: Mapping[str, str], why: str) -> Step[Deployment]:
    return Step(
        state=OperationState.CANCELLED,
        native=dict(native),
        resource=to_deployment(found),
        message=why,
    )
