"""The deployments of an organization, as the portable layer asks for them."""

import contextlib
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnsupportedError,
)
from moorage.plugin import (
    CallRequest,
    Clock,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    OperationState,
    Page,
    Reply,
    SecretValue,
    Step,
)

from . import _record
from ._apps import Apps, Code
from ._calls import Calls
from ._client import Client
from ._index import Group, Index, Place
from ._moments import moment
from ._native.noun import check_instance_type
from ._options import parse_options
from ._rollout import Rollout, alias_of
from ._secrets import Secrets
from ._shown import raw_of
from ._states import service_state

_DEPLOYS = ("deployments.deploy", "deployments.create", "deployments.update")
_NUMBERS = ("replicas", "min_replicas", "max_replicas")
_STILL_S = 60.0  # for so long a service may look as if it had not heard that it shall start
_RUNNING = OperationState.RUNNING
_SUCCEEDED = OperationState.SUCCEEDED
_FAILED = OperationState.FAILED


class Deployments:
    """The deployments of an organization: services, found by the names in their environment."""

    def __init__(
        self, client: Client, clock: Clock, apps: Apps, secrets: Secrets, index: Index
    ) -> None:
        self._client = client
        self._clock = clock
        self._apps = apps
        self._secrets = secrets
        self._index = index
        self._rollout = Rollout(client, index)
        self._calls = Calls(client, index)
        self._homes: dict[str, str] = {}

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace the current one.

        Raises:
            AlreadyExistsError: `current` is `None` and the name is taken.
            ConflictError: `current` is not what is there any more.
        """
        _check(spec)
        group = self._group(spec.name, current)
        if group is not None and current is not None and current.spec is not None:
            step = self._in_place(spec, current, group)
            if step is not None:
                return step
        code = self._code(spec)
        values = self._secrets.values(spec.secrets)
        place = self._create(spec, code, values, group)
        self._index.remember(spec.name, place.deployment_id)
        self._calls.forget(spec.name)
        try:
            found = self._index.find(spec.name)
        except NotFoundError:  # a service may be listed a moment after it was made
            found = Group([place])
        if place.generation < found.newest.generation or (
            place.generation == found.newest.generation
            and place.service_id != found.newest.service_id
            and any(other.service_id == place.service_id for other in found.places)
        ):
            self._rollout.remove(place)
            raise _outrun(spec.name, create=current is None)
        return Step(
            state=_RUNNING,
            native=_ids(place),
            resource=self._deployment(found),
            message=f"service {place.service_id} starts",
        )

    def get(self, name: str, /) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        return self._deployment(self._index.find(name))

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return all deployments by name: the platform's listings have no pages."""
        del page_token  # there is one page
        return Page(items=tuple(self._deployment(group) for group in self._index.groups()))

    def start(self, name: str, /) -> Step[Deployment]:
        """Begin to start a stopped deployment; one that runs is done at once."""
        group = self._index.find(name)
        place = group.current
        if service_state(place.service.status) is DeploymentState.READY:
            return Step(state=_SUCCEEDED, resource=self._deployment(group))
        with contextlib.suppress(ConflictError):  # it is starting already
            self._client.services.start_service(place.deployment_id, place.service_id)
        return self._begun(place, f"service {place.service_id} starts")

    def stop(self, name: str, /) -> Step[Deployment]:
        """Begin to stop a deployment; one that is stopped is done at once."""
        group = self._index.find(name)
        place = group.current
        if service_state(place.service.status) is DeploymentState.STOPPED:
            return Step(state=_SUCCEEDED, resource=self._deployment(group))
        with contextlib.suppress(ConflictError):  # it is stopping already
            self._client.services.stop_service(place.deployment_id, place.service_id)
        self._calls.forget(name)
        return self._begun(place, f"service {place.service_id} stops")

    def delete(self, name: str, /) -> Step[Deployment]:
        """Begin to delete a deployment.

        Raises:
            NotFoundError: There is none.
        """
        group = self._index.find(name, everywhere=True)
        self._calls.forget(name)
        return self._deleted(name, group)

    def pick_up(self, name: str, /) -> Step[Deployment] | None:
        """Return the step of a deploy that is under way; `None` where none is known.

        Whatever it has come to, going on from its newest service brings it to its end.
        """
        try:
            group = self._index.find(name)
        except NotFoundError:
            return None
        if group.newest.record is None:
            return None
        return Step(state=_RUNNING, native=_ids(group.newest), resource=self._deployment(group))

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Look once how far a call is, and do its next step."""
        if kind == "deployments.delete":
            name = native["target"]
            try:
                group = self._index.find(name)
            except NotFoundError:
                return Step(state=_SUCCEEDED, native=dict(native))
            return self._deleted(name, group)
        if kind in _DEPLOYS:
            return self._deployed(native)
        return self._switched(kind, native)

    def cancel(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Call a deploy, start or stop off.

        A deploy is called off by deleting the new service: what served before goes on.
        """
        place = self._place(native)
        name = _record.name_of(place.service)
        if kind in _DEPLOYS and native.get("step") != "scale":
            self._rollout.remove(place)
            self._calls.forget(name)
        elif kind == "deployments.start":
            self._client.services.stop_service(place.deployment_id, place.service_id)
        elif kind == "deployments.stop":
            self._client.services.start_service(place.deployment_id, place.service_id)
        else:
            raise UnsupportedError(
                f"{kind} cannot be called off on ABEJA Platform", capability="deployments.cancel"
            )
        return Step(
            state=OperationState.CANCELLED, native=dict(native), resource=self._perhaps(name)
        )

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to the deployment's service and return what the app answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            UnavailableError: It cannot be reached.
        """
        return self._calls.call(name, request)

    # Creating -------------------------------------------------------------------------------------

    def _group(self, name: str, current: Deployment | None) -> Group | None:
        """Return what is there, if it is what the caller thinks."""
        try:
            group = self._index.find(name, everywhere=True)
        except NotFoundError:
            if current is not None:
                raise ConflictError(
                    f"deployment {name!r} is gone", hint="deploy it again"
                ) from None
            return None
        if current is None:
            raise AlreadyExistsError(
                f"there is a deployment {name!r}", hint="deploy replaces it, update changes it"
            )
        if current.revision != group.current.service_id:
            raise ConflictError(
                f"deployment {name!r} was changed meanwhile", hint="look at it and try again"
            )
        return group

    def _code(self, spec: DeploymentSpec) -> Code:
        code = self._apps.code(spec.artifact.name, spec.artifact.version)
        if code is None:
            raise NotFoundError(
                f"there is no app {spec.artifact}",
                hint="`moorage artifacts list` shows what there is",
                resource=f"artifact/{spec.artifact}",
            )
        if not code.mark.service:
            raise InvalidRequestError(
                f"app {spec.artifact} has no service",
                hint="add [service] to its moorage.toml, or run its jobs",
                fields={"artifact": "no service"},
            )
        return code

    def _create(
        self,
        spec: DeploymentSpec,
        code: Code,
        values: Mapping[str, SecretValue],
        group: Group | None,
    ) -> Place:
        """Make a service, or find the one that was made when the reply is lost."""
        options = parse_options(spec.options)
        record = _record.Record(
            origin=group.current.id if group else "",
            generation=group.newest.generation + 1 if group else 1,
            operation=uuid.uuid4().hex,
            artifact=str(spec.artifact),
            native=code.native,
            secrets=spec.secrets,
            secret_keys=tuple(sorted(key for key in values if key not in spec.env)),
            instance_type=spec.instance_type,
            replicas=spec.replicas,
            min_replicas=spec.min_replicas,
            max_replicas=spec.max_replicas,
            labels=spec.labels,
            options=spec.options,
        )
        environment = _record.environment(spec.env, values)
        environment |= {_record.NAME: spec.name, _record.RECORD: _record.written(record)}
        deployment_id = code.deployment.deployment_id
        try:
            service = self._client.services.create_service(
                deployment_id,
                code.version.version_id,
                instance_type=spec.instance_type or self._client.settings.instance_type,
                environment=environment,
                model_id=options.model_id,
                record_channel_id=options.record_channel_id,
                **_numbers(spec),
            )
        except MoorageError as lost:
            if lost.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            return self._lost(deployment_id, record, lost)
        if not service.user_env_vars:  # the answer need not repeat what was sent
            service = msgspec.structs.replace(service, user_env_vars=environment)
        return Place(deployment_id, service, record)

    def _lost(self, deployment_id: str, record: _record.Record, lost: MoorageError) -> Place:
        """Return the service whose reply was lost.

        Raises:
            MoorageError: There is none, and nothing was changed; or looking does not tell.
        """
        try:
            found = self._index.of(deployment_id)
        except MoorageError:
            raise lost from lost.__cause__
        for place in found:
            if place.record is not None and place.record.operation == record.operation:
                return place
        lost.retry = Retry.SAFE
        lost.hint = "nothing was changed: the call can be made again"
        raise lost

    def _in_place(
        self, spec: DeploymentSpec, current: Deployment, group: Group
    ) -> Step[Deployment] | None:
        """Do what needs no other service: nothing at all, or changing the numbers of instances."""
        before = current.spec
        if before is None or len(group.places) > 1 or current.state is not DeploymentState.READY:
            return None
        changed = {
            field
            for field in DeploymentSpec.__struct_fields__
            if getattr(before, field) != getattr(spec, field)
        }
        if not changed and not spec.secrets:  # values of secrets may have changed
            return Step(state=_SUCCEEDED, resource=current)
        if not changed or not changed <= set(_NUMBERS):
            return None
        if any((getattr(before, f) is None) != (getattr(spec, f) is None) for f in _NUMBERS):
            return None
        place = group.current
        self._client.services.update_service(place.deployment_id, place.service_id, _numbers(spec))
        return Step(
            state=_RUNNING,
            native={**_ids(place), "step": "scale"},
            resource=current,
            message=f"service {place.service_id} changes the number of its instances",
        )

    # Going on -------------------------------------------------------------------------------------

    def _deployed(self, native: Mapping[str, str]) -> Step[Deployment]:
        try:
            place = self._place(native)
        except NotFoundError:
            raise ConflictError(
                f"service {native['service']} is gone: another deploy took its place",
                hint="look at the deployment and try again",
            ) from None
        name = _record.name_of(place.service)
        state = service_state(place.service.status)
        if state in {DeploymentState.FAILED, DeploymentState.TERMINATED}:
            return self._rolled_back(name, place, native)
        if state is not DeploymentState.READY:
            message = f"service {place.service_id} is {place.service.status}"
            return Step(state=_RUNNING, native=dict(native), message=message)
        group = self._index.find(name)
        if native.get("step") == "scale":
            return Step(state=_SUCCEEDED, native=dict(native), resource=self._deployment(group))
        newest = group.newest
        if newest.generation == place.generation and newest.service_id != place.service_id:
            self._rollout.remove(place)
            raise _outrun(name, create=False)
        if newest.generation == place.generation and not self._rollout.finish(group, place):
            message = "the service before is on its way out"
            return Step(state=_RUNNING, native=dict(native), message=message)
        self._calls.forget(name)
        resource = self._perhaps(name)
        return Step(state=_SUCCEEDED, native=dict(native), resource=resource)

    def _rolled_back(self, name: str, place: Place, native: Mapping[str, str]) -> Step[Deployment]:
        """Let what served before go on; the first service of a deployment stays, for its log."""
        words = self._rollout.last_words(place)
        message = f"service {place.service_id} is {place.service.status}" + (
            f": {words}" if words else ""
        )
        group = self._index.find(name)
        older = [other for other in group.places if other.generation < place.generation]
        if older and native.get("step") != "scale":
            self._rollout.remove(place)
            message += "; what served before goes on"
            group = Group(older)
        return Step(
            state=_FAILED,
            native=dict(native),
            resource=self._deployment(group),
            message=message,
        )

    def _switched(self, kind: str, native: Mapping[str, str]) -> Step[Deployment]:
        """Look how far a start or a stop is."""
        place = self._place(native)
        state = service_state(place.service.status)
        wanted = DeploymentState.STOPPED if kind == "deployments.stop" else DeploymentState.READY
        if state is wanted:
            resource = self._perhaps(_record.name_of(place.service))
            return Step(state=_SUCCEEDED, native=dict(native), resource=resource)
        message = f"service {place.service_id} is {place.service.status}"
        hopeless = state in {DeploymentState.FAILED, DeploymentState.TERMINATED} or (
            state is DeploymentState.STOPPED and self._waited_s(native) > _STILL_S
        )
        if hopeless:
            words = self._rollout.last_words(place)
            return Step(
                state=_FAILED,
                native=dict(native),
                resource=self._perhaps(_record.name_of(place.service)),
                message=f"{message}: {words}" if words else message,
            )
        return Step(state=_RUNNING, native=dict(native), message=message)

    def _deleted(self, name: str, group: Group) -> Step[Deployment]:
        gone = [self._rollout.remove(place) for place in group.places]
        native = {"target": name}
        if all(gone):
            self._index.forget(name)
            return Step(state=_SUCCEEDED, native=native)
        return Step(state=_RUNNING, native=native, message="its services stop")

    def _begun(self, place: Place, message: str) -> Step[Deployment]:
        since = self._clock.now().isoformat()
        native = {**_ids(place), "since": since}
        return Step(state=_RUNNING, native=native, message=message)

    def _waited_s(self, native: Mapping[str, str]) -> float:
        since = moment(native.get("since"))
        return 0.0 if since is None else (self._clock.now() - since).total_seconds()

    def _place(self, native: Mapping[str, str]) -> Place:
        deployment_id, service_id = native["deployment"], native["service"]
        service = self._client.services.get_service(deployment_id, service_id)
        return Place(deployment_id, service, _record.read(service))

    # Telling --------------------------------------------------------------------------------------

    def _perhaps(self, name: str) -> Deployment | None:
        try:
            return self.get(name)
        except NotFoundError:
            return None

    def _deployment(self, group: Group) -> Deployment:
        newest, current = group.newest, group.current
        service = current.service
        state = service_state(newest.service.status)
        if newest is not current:
            failed = state is DeploymentState.FAILED
            state = DeploymentState.DEGRADED if failed else DeploymentState.DEPLOYING
        artifact = self._artifact_of(current)
        spec = _record.spec_of(newest.service, newest.record, self._artifact_of(newest))
        name, _, version = artifact.partition(":")
        return Deployment(
            id=current.id,
            name=_record.name_of(service),
            state=state,
            native_state=newest.service.status,
            artifact=msgspec.structs.replace(spec.artifact, name=name, version=version or None),
            spec=spec,
            revision=current.service_id,
            url=self._url(current),
            replicas_ready=service.instance_number if service.status == "READY" else None,
            created_at=moment(group.places[0].service.created_at),
            updated_at=moment(service.modified_at),
            raw=raw_of(service, secret_keys=current.record.secret_keys if current.record else ()),
        )

    def _artifact_of(self, place: Place) -> str:
        if place.record is not None and place.record.artifact:
            return place.record.artifact
        home = place.deployment_id
        if home not in self._homes:
            self._homes[home] = self._client.deployments.get_deployment(home).name
        return f"{self._homes[home]}:{place.service.model_version or place.service.version_id}"

    def _url(self, place: Place) -> str:
        base = self._client.service_url.rstrip("/")
        alias = alias_of(place)
        path = f"/deployments/{place.deployment_id}"
        if place.record is None:
            return f"{base}{path}/services/{place.service_id}"
        return f"{base}{path}" if alias == "default" else f"{base}{path}/{alias}"


def _check(spec: DeploymentSpec) -> None:
    """Refuse what the platform cannot do, before anything is sent."""
    _record.check_env(spec.env)
    check_instance_type(spec.instance_type)
    parse_options(spec.options)
    if spec.min_replicas == 0:
        raise InvalidRequestError(
            "min_replicas is at least 1 on ABEJA Platform",
            hint="stop the deployment where nothing shall run",
            fields={"min_replicas": "at least 1"},
        )


def _numbers(spec: DeploymentSpec) -> dict[str, Any]:
    """Return how many instances a service gets, in the platform's words."""
    low, high = spec.min_replicas, spec.max_replicas
    if low is None and high is None:
        if spec.replicas is None:
            return {"instance_number": 1}
        return {"instance_number": spec.replicas, "enable_autoscale": False}
    number = spec.replicas or low or 1
    if high is not None:
        number = min(number, high)
    numbers: dict[str, Any] = {"instance_number": number, "enable_autoscale": True}
    if low is not None:
        numbers["min_instance_number"] = min(low, number)
    if high is not None:
        numbers["max_instance_number"] = high
    return numbers


def _ids(place: Place) -> dict[str, str]:
    return {"deployment": place.deployment_id, "service": place.service_id}


def _outrun(name: str, *, create: bool) -> MoorageError:
    if create:
        return AlreadyExistsError(
            f"there is a deployment {name!r}, made at the same moment", hint="deploy replaces it"
        )
    return ConflictError(
        f"another deploy of {name!r} was faster", hint="look at the deployment and try again"
    )
