"""Deploying, changing, calling and removing deployments."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Unpack, cast, final

import msgspec

from . import _binding
from ._artifact import Artifact, ArtifactRef, check_name, check_version
from ._artifacts import AnyRef, as_ref
from ._call_request import UNSET, call_request
from ._deployment import (
    Change,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Plan,
    Reply,
)
from ._deployment_options import SpecOptions, check_options, given_options
from ._listing import Listing
from ._lost_reply import look_after, settled
from ._operations import Operation, finished
from ._page import Page
from ._session import Session
from ._shown import shown
from .errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnsupportedError,
)
from .plugin._driver import (
    CancellingDriver,
    DeploymentDriver,
    OperationState,
    PromotingDriver,
    RememberingDriver,
    Step,
)

AnyDeployment = Deployment | str
"""A deployment, or its name."""

_ATTEMPTS = 4

# Where each state leads for somebody who waits for the given one. What stands in neither set is
# on its way.
_HOPELESS: Mapping[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.READY: frozenset(
        {DeploymentState.FAILED, DeploymentState.STOPPED, DeploymentState.TERMINATED}
    ),
    DeploymentState.STOPPED: frozenset({DeploymentState.FAILED}),
    DeploymentState.TERMINATED: frozenset({DeploymentState.FAILED}),
}
_ALSO: Mapping[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.STOPPED: frozenset({DeploymentState.TERMINATED}),
}
_TARGETS: Mapping[str, DeploymentState] = {
    "deployments.deploy": DeploymentState.READY,
    "deployments.create": DeploymentState.READY,
    "deployments.update": DeploymentState.READY,
    "deployments.start": DeploymentState.READY,
    "deployments.promote": DeploymentState.READY,
    "deployments.stop": DeploymentState.STOPPED,
    "deployments.delete": DeploymentState.TERMINATED,
}


@final
class Deployments:
    """The deployments of one cloud."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def deploy(
        self,
        name: str,
        artifact: AnyRef,
        **options: Unpack[SpecOptions],
    ) -> Operation[Deployment]:
        """Create a deployment, or replace the one of that name without a failed request.

        What is given is all that the deployment then has: an option left out goes back to the
        provider's default. Use `update` to change single options.

        Args:
            name: The deployment's.
            artifact: What it runs; the latest version where the reference names none.
            options: What the deployment shall be: any of `env`, `secrets`, `instance_type`,
                `replicas`, `min_replicas`, `max_replicas`, `labels` and `options`, with the
                meaning that they have in `DeploymentSpec`.

        Returns:
            The operation; its `result` is the deployment once it serves.

        Raises:
            InvalidRequestError: An argument cannot be used.
            NotFoundError: There is no such artifact or secret.
            UnsupportedError: The provider lacks one of the options.
        """
        spec = self._spec("deployments.deploy", name, artifact, options)
        return self._settle_races(
            "deployments.deploy", name, lambda: (spec, self._find(name)), spec
        )

    def create(
        self,
        name: str,
        artifact: AnyRef,
        **options: Unpack[SpecOptions],
    ) -> Operation[Deployment]:
        """Create a deployment; as `deploy`, and a name that exists is refused.

        Raises:
            AlreadyExistsError: There is a deployment of that name.
        """
        spec = self._spec("deployments.create", name, artifact, options)
        return self._apply("deployments.create", spec, None)

    def update(
        self,
        name: AnyDeployment,
        *,
        artifact: AnyRef | None = None,
        **changes: Unpack[SpecOptions],
    ) -> Operation[Deployment]:
        """Change some options of a deployment, without a failed request; the others stay.

        A mapping or a list that is given replaces the whole one, and `None` gives an option back to
        the provider.

        Args:
            name: Which deployment.
            artifact: What it shall run from now on; `None` leaves it.
            changes: The options to change, as in `deploy`.

        Raises:
            NotFoundError: There is no such deployment.
            UnsupportedError: The provider lacks one of the options, or does not tell what is set.
        """
        name = _name(name)
        checked = check_options(changes)
        _binding.check(self._session.capabilities, "deployments.update", checked)
        if artifact is not None:
            checked["artifact"] = self._version_of(artifact)

        def changed() -> tuple[DeploymentSpec, Deployment]:
            current = self._get("deployments.get", name)
            if current.spec is None:
                raise UnsupportedError(
                    f"{self._session.provider!r} does not tell how {name!r} is set up,"
                    " so that single options cannot be changed",
                    capability="deployments.update",
                    hint="use `deploy` with all options",
                )
            return msgspec.structs.replace(current.spec, **checked), current

        return self._settle_races("deployments.update", name, changed, None)

    def get(self, name: AnyDeployment) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        _binding.check(self._session.capabilities, "deployments.get", {})
        return self._get("deployments.get", _name(name))

    def list(self) -> Listing[Deployment]:
        """Return the deployments, fetched as they are iterated."""
        _binding.check(self._session.capabilities, "deployments.list", {})

        def fetch(token: str | None) -> Page[Deployment]:
            with self._session.call("deployments.list"):
                return self._session.deployments.list(page_token=token)

        return Listing(fetch, key=lambda deployment: deployment.id)

    def start(self, name: AnyDeployment) -> Operation[Deployment]:
        """Start a stopped deployment; one that runs is left as it is.

        Raises:
            NotFoundError: There is none.
        """
        return self._begin("deployments.start", name, lambda driver, n: driver.start(n))

    def stop(self, name: AnyDeployment) -> Operation[Deployment]:
        """Stop a deployment and keep its definition; one that is stopped is left as it is.

        Raises:
            NotFoundError: There is none.
        """
        return self._begin("deployments.stop", name, lambda driver, n: driver.stop(n))

    def delete(self, name: AnyDeployment, *, missing_ok: bool = False) -> Operation[None]:
        """Delete a deployment; its artifact stays.

        Args:
            name: Which.
            missing_ok: Whether it is fine that there is none.

        Raises:
            NotFoundError: There is none.
        """
        kind = "deployments.delete"
        name = _name(name)
        _binding.check(self._session.capabilities, kind, {})
        try:
            with self._session.call(kind, f"deployment/{name}"):
                step = self._session.deployments.delete(name)
        except NotFoundError:
            if not missing_ok:
                raise
            step = finished(cast("Any", None))
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            found = look_after(exc, lambda: self._find(name))
            if found is not None and found.state not in {
                DeploymentState.STOPPING,
                DeploymentState.TERMINATED,
            }:
                raise settled(exc, f"deployment {name!r} still exists") from exc
            step = finished(cast("Any", None)) if found is None else Step(state=_RUNNING)
        return cast("Operation[None]", self._operation(kind, name, step))

    def promote(self, name: AnyDeployment, *, to: str) -> Operation[Deployment]:
        """Move a deployment to a stage of the provider, `"production"` for example.

        Raises:
            NotFoundError: There is no such deployment or stage.
            UnsupportedError: The provider has no stages.
        """
        if not isinstance(to, str) or not to.isprintable() or not to:
            raise InvalidRequestError(f"{shown(to)} is not a stage", fields={"to": "not a name"})

        def promote(driver: DeploymentDriver, name: str) -> Step[Deployment]:
            return cast("PromotingDriver", driver).promote(name, to)

        return self._begin("deployments.promote", name, promote)

    def plan(
        self,
        name: str,
        artifact: AnyRef,
        **options: Unpack[SpecOptions],
    ) -> Plan:
        """Tell what `deploy` with the same arguments would do, and do nothing.

        Options that are left to the provider are not compared. Right after a deploy the plan of
        the same deploy is empty.
        """
        spec = self._spec("deployments.plan", name, artifact, options)
        current = self._find(name)
        if current is None or current.state is DeploymentState.TERMINATED:
            return Plan(name=name, action="create", changes=tuple(_changes(None, spec)))
        before = current.spec
        if before is None and current.artifact is not None:
            before = DeploymentSpec(name=name, artifact=current.artifact)
        changes = tuple(_changes(before, spec))
        return Plan(name=name, action="replace" if changes else "none", changes=changes)

    def wait(
        self,
        name: AnyDeployment,
        *,
        until: DeploymentState | str = DeploymentState.READY,
        timeout: float | None = None,
    ) -> Deployment:
        """Wait until a deployment has reached a state and return it.

        Args:
            name: Which.
            until: `ready`, `stopped` or `terminated`; one that is gone counts as terminated, and
                there is then nothing to return.
            timeout: Seconds; `None` waits as long as it takes.

        Raises:
            NotFoundError: There is none.
            OperationFailedError: It came to an end that never leads there.
            TimedOutError: It is still on its way.
        """
        return self.operation(name, until=until).result(timeout=timeout)

    def operation(
        self, name: AnyDeployment, *, until: DeploymentState | str = DeploymentState.READY
    ) -> Operation[Deployment]:
        """Return the wait for a state as an operation, to look at or to resume elsewhere."""
        _binding.check(self._session.capabilities, "deployments.wait", {})
        name = _name(name)
        if until not in tuple(_HOPELESS):
            raise InvalidRequestError(
                f"one cannot wait for the state {shown(until)}",
                hint=f"wait for {', '.join(_HOPELESS)}",
                fields={"until": "not a state to wait for"},
            )
        target = DeploymentState(until)
        return Operation(
            self._session,
            kind="deployments.wait",
            target=f"deployment/{name}",
            step=Step[Deployment](state=_RUNNING, native={"name": name, "until": str(target)}),
            poll=self._poll_state(name, target),
            missing="done" if target is DeploymentState.TERMINATED else "fail",
        )

    def call(
        self,
        name: AnyDeployment,
        method: str,
        path: str,
        *,
        json: Any = UNSET,
        data: bytes | str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Reply:
        """Send one request to a deployment's endpoint and return what the app answers.

        It is sent once. The app's status, whatever it is, is part of the reply and never raised.

        Args:
            name: Which deployment.
            method: `"GET"`, `"POST"`, ...
            path: Begins with `/`; may carry a query.
            json: A JSON value for the body; exclusive with `data`.
            data: The body as it is.
            content_type: Of `data`; JSON and text say theirs by themselves.
            headers: More headers.
            timeout: Seconds for the whole call.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            TimedOutError: No answer came in time; the app may have done its work.
            UnavailableError: It cannot be reached.
        """
        _binding.check(self._session.capabilities, "deployments.call", {})
        name = _name(name)
        request = call_request(method, path, json, data, content_type, headers, timeout)
        with self._session.call("deployments.call", f"deployment/{name}"):
            return self._session.deployments.call(name, request)

    def resume(self, kind: str, name: str, native: Mapping[str, str]) -> Operation[Deployment]:
        """Return the operation of a call that another process began; `moorage.resume` is easier."""
        if kind == "deployments.wait":
            return self.operation(name, until=native.get("until", ""))
        if kind not in _TARGETS:
            raise InvalidRequestError(f"there is no operation {shown(kind)}")
        return self._operation(kind, _name(name), Step(state=_RUNNING, native=dict(native)))

    def _begin(
        self,
        kind: str,
        name: AnyDeployment,
        begin: Callable[[DeploymentDriver, str], Step[Deployment]],
    ) -> Operation[Deployment]:
        name = _name(name)
        _binding.check(self._session.capabilities, kind, {})
        try:
            with self._session.call(kind, f"deployment/{name}"):
                step = begin(self._session.deployments, name)
        except MoorageError as exc:
            if exc.retry is Retry.UNKNOWN_OUTCOME and kind != "deployments.promote":
                # Starting what runs and stopping what is stopped change nothing.
                exc.retry = Retry.SAFE
            raise
        return self._operation(kind, name, step)

    def _spec(
        self, call: str, name: str, artifact: AnyRef, options: Mapping[str, Any]
    ) -> DeploymentSpec:
        check_name(name, "deployment")
        given = given_options(options)
        _binding.check(self._session.capabilities, call, given)
        checked = check_options(given)
        return DeploymentSpec(name=name, artifact=self._version_of(artifact), **checked)

    def _version_of(self, artifact: AnyRef) -> ArtifactRef:
        if isinstance(artifact, Artifact):
            return artifact.ref
        if isinstance(artifact, os.PathLike):
            raise InvalidRequestError(
                "a deployment runs a stored artifact, not a path",
                hint="push it first: artifact = cloud.artifacts.push(path)",
            )
        ref = as_ref(artifact)
        if ref.version is not None:
            check_version(ref.version)
            return ref
        with self._session.call("artifacts.get", f"artifact/{ref}"):
            return self._session.artifacts.get(ref).ref

    def _settle_races(
        self,
        kind: str,
        name: str,
        look: Callable[[], tuple[DeploymentSpec, Deployment | None]],
        fixed: DeploymentSpec | None,
    ) -> Operation[Deployment]:
        """Apply what `look` computes; look again when somebody else was faster."""
        for attempt in range(_ATTEMPTS):
            spec, current = look()
            if current is not None and current.state is DeploymentState.TERMINATED:
                current = None
            try:
                return self._apply(kind, spec, current)
            except (AlreadyExistsError, ConflictError):
                if attempt == _ATTEMPTS - 1:
                    raise
            except NotFoundError:
                # It was deleted between the look and the change.
                if current is None or fixed is None or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError(name)

    def _apply(
        self, kind: str, spec: DeploymentSpec, current: Deployment | None
    ) -> Operation[Deployment]:
        try:
            with self._session.call(kind, f"deployment/{spec.name}"):
                step = self._session.deployments.apply(spec, current)
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            step = self._after_lost_apply(spec, current, exc)
        return self._operation(kind, spec.name, step)

    def _after_lost_apply(
        self, spec: DeploymentSpec, current: Deployment | None, lost: MoorageError
    ) -> Step[Deployment]:
        """Look whether a lost call arrived; only what exists decides.

        Raises:
            UnavailableError: It did not arrive and may be repeated.
            MoorageError: The loss itself, where looking does not tell.
        """
        found = look_after(lost, lambda: self._find(spec.name))
        if found is None:
            raise settled(lost, f"deployment {spec.name!r} was not created") from lost
        if found.spec is not None and not list_of_changes(found.spec, spec):
            return self._picked_up(spec.name) or Step(state=_RUNNING, resource=found)
        if current is not None and found.spec is not None and found.spec == current.spec:
            raise settled(lost, f"deployment {spec.name!r} was not changed") from lost
        raise lost

    def _picked_up(self, name: str) -> Step[Deployment] | None:
        """Return what a driver says is under way, where it remembers such things."""
        driver = self._session.deployments
        if not hasattr(driver, "pick_up"):
            return None
        with self._session.call("deployments.get", f"deployment/{name}"):
            return cast("RememberingDriver", driver).pick_up(name)

    def _find(self, name: str) -> Deployment | None:
        try:
            return self._get("deployments.get", name)
        except NotFoundError:
            return None

    def _get(self, call: str, name: str) -> Deployment:
        with self._session.call(call, f"deployment/{name}"):
            return self._session.deployments.get(name)

    def _operation(self, kind: str, name: str, step: Step[Deployment]) -> Operation[Deployment]:
        driver = self._session.deployments
        by_state = self._poll_state(name, _TARGETS[kind])

        def poll(native: Mapping[str, str]) -> Step[Deployment]:
            # A driver that gives no ids has nothing to advance: its `get` tells all.
            own = {key: value for key, value in native.items() if key != "name"}
            return self._session.deployments.advance(kind, native) if own else by_state(native)

        def cancel(native: Mapping[str, str]) -> Step[Deployment]:
            return cast("CancellingDriver", self._session.deployments).cancel(kind, native)

        can_cancel = bool(self._session.capabilities["deployments.cancel"])
        missing: Literal["wait", "done", "fail"] = "fail"
        if kind == "deployments.delete":
            missing = "done"
        elif kind in {"deployments.deploy", "deployments.create"}:
            missing = "wait"
        return Operation(
            self._session,
            kind=kind,
            target=f"deployment/{name}",
            step=step,
            poll=poll,
            cancel=cancel if can_cancel and hasattr(driver, "cancel") else None,
            missing=missing,
        )

    def _poll_state(
        self, name: str, target: DeploymentState
    ) -> Callable[[Mapping[str, str]], Step[Deployment]]:
        def poll(native: Mapping[str, str]) -> Step[Deployment]:
            found = self._session.deployments.get(name)
            state = _RUNNING
            if found.state is target or found.state in _ALSO.get(target, ()):
                state = OperationState.SUCCEEDED
            elif found.state in _HOPELESS[target]:
                state = OperationState.FAILED
            message = found.message or (f"it is {found.state}" if state is not _RUNNING else "")
            return Step(state=state, native=dict(native), resource=found, message=message)

        return poll


_RUNNING = OperationState.RUNNING


def list_of_changes(before: DeploymentSpec | None, after: DeploymentSpec) -> tuple[Change, ...]:
    """Return what differs, in the order of the spec's fields."""
    return tuple(_changes(before, after))


def _changes(before: DeploymentSpec | None, after: DeploymentSpec) -> Iterable[Change]:
    for field in DeploymentSpec.__struct_fields__:
        if field == "name":
            continue
        new = getattr(after, field)
        old = getattr(before, field) if before is not None else None
        if isinstance(new, dict):
            yield from _changes_of_mapping(field, old or {}, new)
        elif isinstance(new, ArtifactRef):
            if str(new) != str(old):
                yield Change(field=field, before=None if old is None else str(old), after=str(new))
        elif new is not None and new != old and not (new == () and old is None):
            # Order does not matter to the only sequence there is, the names of secrets.
            if isinstance(new, tuple) and sorted(new) == sorted(old or ()):
                continue
            yield Change(field=field, before=old, after=new)


def _changes_of_mapping(
    field: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterable[Change]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield Change(field=f"{field}.{key}", before=old, after=new)


def _name(name: AnyDeployment) -> str:
    return check_name(name.name if isinstance(name, Deployment) else name, "deployment")
