"""Deploying, changing, calling and removing deployments."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import urlsplit

import msgspec

from . import _binding
from ._artifact import Artifact, ArtifactRef, check_name, check_version, shown
from ._artifacts import AnyRef, as_ref, check_labels, settled
from ._deployment import (
    CallRequest,
    Change,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Plan,
    Reply,
)
from ._environment import check_env, is_text
from ._listing import Listing
from ._operations import Operation, check_timeout, finished
from ._page import Page
from ._session import Session
from .errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnsupportedError,
)
from .plugin._driver import CancellingDriver, OperationState, PromotingDriver, Step

if TYPE_CHECKING:
    from typing import Literal

    Unset = msgspec.UnsetType

UNSET: Final = msgspec.UNSET
"""An option of `update` that was not given, and so is left as it is."""

AnyDeployment = Deployment | str
"""A deployment, or its name."""

_ATTEMPTS = 4
_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

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
        *,
        env: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        instance_type: str | None = None,
        replicas: int | None = None,
        min_replicas: int | None = None,
        max_replicas: int | None = None,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Operation[Deployment]:
        """Create a deployment, or replace the one of that name without a failed request.

        What is given is all that the deployment then has: an option left out goes back to the
        provider's default. Use `update` to change single options.

        Args:
            name: The deployment's.
            artifact: What it runs; the latest version where the reference names none.
            env: Environment variables.
            secrets: Names of stored secrets, whose values become environment variables.
            instance_type: The provider's name of the machine for each replica.
            replicas: How many run.
            min_replicas: Fewest, where the provider scales.
            max_replicas: Most, where the provider scales.
            labels: Words for the reader's own use.
            options: What only this provider knows.

        Returns:
            The operation; its `result` is the deployment once it serves.

        Raises:
            InvalidRequestError: An argument cannot be used.
            NotFoundError: There is no such artifact or secret.
            UnsupportedError: The provider lacks one of the options.
        """
        options_ = _options(
            env, secrets, instance_type, replicas, min_replicas, max_replicas, labels, options
        )
        spec = self._spec("deployments.deploy", name, artifact, options_)
        return self._settle_races(
            "deployments.deploy", name, lambda: (spec, self._find(name)), spec
        )

    def create(
        self,
        name: str,
        artifact: AnyRef,
        *,
        env: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        instance_type: str | None = None,
        replicas: int | None = None,
        min_replicas: int | None = None,
        max_replicas: int | None = None,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Operation[Deployment]:
        """Create a deployment; as `deploy`, and a name that exists is refused.

        Raises:
            AlreadyExistsError: There is a deployment of that name.
        """
        options_ = _options(
            env, secrets, instance_type, replicas, min_replicas, max_replicas, labels, options
        )
        spec = self._spec("deployments.create", name, artifact, options_)
        return self._apply("deployments.create", spec, None)

    def update(
        self,
        name: str,
        *,
        artifact: "AnyRef | Unset" = UNSET,
        env: "Mapping[str, str] | Unset" = UNSET,
        secrets: "Iterable[str] | Unset" = UNSET,
        instance_type: "str | Unset | None" = UNSET,
        replicas: "int | Unset | None" = UNSET,
        min_replicas: "int | Unset | None" = UNSET,
        max_replicas: "int | Unset | None" = UNSET,
        labels: "Mapping[str, str] | Unset" = UNSET,
        options: "Mapping[str, Any] | Unset" = UNSET,
    ) -> Operation[Deployment]:
        """Change some options of a deployment, without a failed request; the others stay.

        A mapping or a list that is given replaces the whole one.

        Raises:
            NotFoundError: There is no such deployment.
            UnsupportedError: The provider lacks one of the options, or does not tell what is set.
        """
        check_name(name, "deployment")
        changes: dict[str, Any] = {
            "env": env,
            "secrets": secrets,
            "instance_type": instance_type,
            "replicas": replicas,
            "min_replicas": min_replicas,
            "max_replicas": max_replicas,
            "labels": labels,
            "options": options,
        }
        changes = _checked({key: value for key, value in changes.items() if value is not UNSET})
        _binding.check(self._session.capabilities, "deployments.update", changes)
        if artifact is not UNSET:
            changes["artifact"] = self._version_of(artifact)

        def changed() -> tuple[DeploymentSpec, Deployment]:
            current = self._get("deployments.get", name)
            if current.spec is None:
                raise UnsupportedError(
                    f"{self._session.provider!r} does not tell how {name!r} is set up,"
                    " so that single options cannot be changed",
                    capability="deployments.update",
                    hint="use `deploy` with all options",
                )
            return msgspec.structs.replace(current.spec, **changes), current

        return self._settle_races("deployments.update", name, changed, None)

    def get(self, name: str) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        _binding.check(self._session.capabilities, "deployments.get", {})
        check_name(name, "deployment")
        return self._get("deployments.get", name)

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
        return self._begin("deployments.start", name, self._session.deployments.start)

    def stop(self, name: AnyDeployment) -> Operation[Deployment]:
        """Stop a deployment and keep its definition; one that is stopped is left as it is.

        Raises:
            NotFoundError: There is none.
        """
        return self._begin("deployments.stop", name, self._session.deployments.stop)

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
            found = self._find(name)
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

        def promote(name: str) -> Step[Deployment]:
            return cast("PromotingDriver", self._session.deployments).promote(name, to)

        return self._begin("deployments.promote", name, promote)

    def plan(
        self,
        name: str,
        artifact: AnyRef,
        *,
        env: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        instance_type: str | None = None,
        replicas: int | None = None,
        min_replicas: int | None = None,
        max_replicas: int | None = None,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Plan:
        """Tell what `deploy` with the same arguments would do, and do nothing.

        Options that are left to the provider are not compared. Right after a deploy the plan of
        the same deploy is empty.
        """
        options_ = _options(
            env, secrets, instance_type, replicas, min_replicas, max_replicas, labels, options
        )
        spec = self._spec("deployments.plan", name, artifact, options_)
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
            until: `ready`, `stopped` or `terminated`; one that is gone counts as terminated.
            timeout: Seconds; `None` waits as long as it takes.

        Raises:
            NotFoundError: There is none.
            OperationFailedError: It came to an end that never leads there.
            TimedOutError: It is still on its way.
        """
        _binding.check(self._session.capabilities, "deployments.wait", {})
        name = _name(name)
        if until not in tuple(_HOPELESS):
            raise InvalidRequestError(
                f"one cannot wait for the state {shown(until)}",
                hint=f"wait for {', '.join(_HOPELESS)}",
                fields={"until": "not a state to wait for"},
            )
        target = DeploymentState(until)
        operation: Operation[Deployment] = Operation(
            self._session,
            kind="deployments.wait",
            target=f"deployment/{name}",
            step=Step[Deployment](state=_RUNNING, native={"name": name, "until": str(target)}),
            poll=self._poll_state(name, target),
            missing="done" if target is DeploymentState.TERMINATED else "fail",
        )
        return operation.result(timeout=timeout)

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
        request = _request(method, path, json, data, content_type, headers, timeout)
        with self._session.call("deployments.call", f"deployment/{name}"):
            return self._session.deployments.call(name, request)

    def resume(self, kind: str, name: str, native: Mapping[str, str]) -> Operation[Deployment]:
        """Return the operation of a call that another process began; `moorage.resume` is easier."""
        if kind == "deployments.wait":
            target = DeploymentState(native["until"])
            return Operation(
                self._session,
                kind=kind,
                target=f"deployment/{name}",
                step=Step[Deployment](state=_RUNNING, native=dict(native)),
                poll=self._poll_state(name, target),
                missing="done" if target is DeploymentState.TERMINATED else "fail",
            )
        if kind not in _TARGETS:
            raise InvalidRequestError(f"there is no operation {shown(kind)}")
        return self._operation(kind, name, Step(state=_RUNNING, native=dict(native)))

    def _begin(
        self, kind: str, name: AnyDeployment, begin: Callable[[str], Step[Deployment]]
    ) -> Operation[Deployment]:
        name = _name(name)
        _binding.check(self._session.capabilities, kind, {})
        try:
            with self._session.call(kind, f"deployment/{name}"):
                step = begin(name)
        except MoorageError as exc:
            if exc.retry is Retry.UNKNOWN_OUTCOME and kind != "deployments.promote":
                # Starting what runs and stopping what is stopped change nothing.
                exc.retry = Retry.SAFE
            raise
        return self._operation(kind, name, step)

    def _spec(
        self, call: str, name: str, artifact: AnyRef, options: dict[str, Any]
    ) -> DeploymentSpec:
        check_name(name, "deployment")
        given = {key: value for key, value in options.items() if value not in (None, {}, ())}
        _binding.check(self._session.capabilities, call, given)
        options = _checked(given)
        return DeploymentSpec(name=name, artifact=self._version_of(artifact), **options)

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
        found = self._find(spec.name)
        if found is None:
            raise settled(lost, f"deployment {spec.name!r} was not created") from lost
        if found.spec is not None and not list_of_changes(found.spec, spec):
            return Step(state=_RUNNING, resource=found)
        if current is not None and found.spec is not None and found.spec == current.spec:
            raise settled(lost, f"deployment {spec.name!r} was not changed") from lost
        raise lost

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


def _options(  # the options of a spec, one by one
    env: Mapping[str, str] | None,
    secrets: Iterable[str],
    instance_type: str | None,
    replicas: int | None,
    min_replicas: int | None,
    max_replicas: int | None,
    labels: Mapping[str, str] | None,
    options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "env": env if env is not None else {},
        "secrets": (secrets,) if isinstance(secrets, str) else tuple(secrets),
        "instance_type": instance_type,
        "replicas": replicas,
        "min_replicas": min_replicas,
        "max_replicas": max_replicas,
        "labels": labels if labels is not None else {},
        "options": options if options is not None else {},
    }


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the given options of a spec, each checked and in the spec's own type."""
    checked = dict(options)
    if "env" in checked:
        checked["env"] = check_env(checked["env"])
    if "secrets" in checked:
        names = checked["secrets"]
        checked["secrets"] = check_secret_names(names)
    if checked.get("instance_type") is not None:
        value = checked["instance_type"]
        if not isinstance(value, str) or not value or not value.isprintable():
            raise InvalidRequestError(
                f"{shown(value)} is not an instance type", fields={"instance_type": "not a name"}
            )
    for field in ("replicas", "min_replicas", "max_replicas"):
        value = checked.get(field)
        lowest = 0 if field == "min_replicas" else 1
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or value < lowest
        ):
            raise InvalidRequestError(
                f"{field} is a whole number from {lowest} on, not {shown(value)}",
                fields={field: "not such a number"},
            )
    low, high = checked.get("min_replicas"), checked.get("max_replicas")
    if low is not None and high is not None and low > high:
        raise InvalidRequestError(
            f"min_replicas ({low}) is above max_replicas ({high})",
            fields={"min_replicas": "above max_replicas"},
        )
    if "labels" in checked:
        check_labels(checked["labels"])
        checked["labels"] = dict(checked["labels"])
    if "options" in checked:
        checked["options"] = check_json(checked["options"], "options")
    return checked


def check_secret_names(names: Iterable[str] | str) -> tuple[str, ...]:
    """Return names of secrets, each once, in the order given.

    Raises:
        InvalidRequestError: One is no name.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    return tuple(dict.fromkeys(check_name(name, "secret") for name in listed))


def check_json(value: Any, what: str) -> Any:
    """Return a value that is plain JSON, as a copy with lists for tuples.

    Raises:
        InvalidRequestError: It cannot be written as JSON and read back as it was.
    """
    try:
        return _plain(value, what)
    except RecursionError as exc:
        raise InvalidRequestError(
            f"{what} is nested too deeply, or contains itself", fields={what: "nested too deeply"}
        ) from exc


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and is_text(value):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, float) and isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _no_json(f"the key {shown(key)} in {where}", where)
        return {key: _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    kind = (
        "a value that JSON lacks" if isinstance(value, int | float | str) else type(value).__name__
    )
    raise _no_json(f"{where} ({kind})", where)


def _no_json(what: str, where: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{what} cannot be written as JSON",
        hint="use dictionaries with text keys, lists, texts, finite numbers, booleans and None",
        fields={where: "not JSON"},
    )


def _request(  # the arguments of `call`, one by one
    method: str,
    path: str,
    json: Any,
    data: bytes | str | None,
    content_type: str | None,
    headers: Mapping[str, str] | None,
    timeout: float,
) -> CallRequest:
    if not isinstance(method, str) or not _METHOD.fullmatch(method.upper()):
        raise InvalidRequestError(
            f"{shown(method)} is not an HTTP method", fields={"method": "not a method"}
        )
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or path.startswith("//")
        or not path.isprintable()
        or " " in path
        or not path.isascii()
        or urlsplit(path).fragment
    ):
        raise InvalidRequestError(
            f"{shown(path)} is not a path of the deployment",
            hint="begin with '/', and quote what is not a plain character",
            fields={"path": "not a path"},
        )
    check_timeout(timeout)
    body: bytes | None = None
    default_type = ""
    lines: list[tuple[str, str]] = []
    if json is not UNSET:
        if data is not None:
            raise InvalidRequestError("pass json or data, not both", fields={"data": "with json"})
        body = msgspec.json.encode(check_json(json, "json"))
        default_type = "application/json"
    elif isinstance(data, str):
        body, default_type = data.encode(), "text/plain; charset=utf-8"
    elif data is not None:
        body, default_type = bytes(data), "application/octet-stream"
    for name, value in (headers or {}).items():
        if (
            not isinstance(name, str)
            or not isinstance(value, str)
            or not _HEADER_NAME.fullmatch(name)
            or not _HEADER_VALUE.fullmatch(value)
        ):
            # The value may be a credential, so that the message leaves it out.
            raise InvalidRequestError(
                f"the header {shown(name)} cannot be sent",
                hint="a header has no line ends and no characters beyond Latin-1",
                fields={"headers": shown(name)},
            )
        lines.append((name, value))
    named = {name.lower() for name, _ in lines}
    if content_type is not None:
        if not _HEADER_VALUE.fullmatch(content_type):
            raise InvalidRequestError(
                "the content type cannot be sent", fields={"content_type": "not a header value"}
            )
        lines.append(("content-type", content_type))
    elif body is not None and "content-type" not in named:
        lines.append(("content-type", default_type))
    return CallRequest(
        method=method.upper(), path=path, headers=tuple(lines), body=body, timeout=timeout
    )
