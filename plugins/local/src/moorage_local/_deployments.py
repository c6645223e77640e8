"""The deployments of a home, as the portable layer asks for them.

Each call writes what is wanted and tells the agent; the agent does it, see `_keeper`.
"""

import contextlib
import random
import socket
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Origin,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import (
    ArtifactKind,
    ArtifactRef,
    CallRequest,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    OperationState,
    Page,
    Reply,
    Step,
)

from . import _deployment_records as records
from ._apps import App, count_workers, find_app
from ._database import Database, moment
from ._deployment_options import DeploymentLimits, parse_options
from ._deployment_records import DeploymentRecord
from ._endpoint import HOST, Endpoint, PortTakenError
from ._environments import BuildError, choose_interpreter
from ._supervisor import Supervisor
from ._vault import check_exist
from ._workdirs import Workdirs

_PAGE_LENGTH = 200
_MOST_WORKERS = 64
_RESERVED = "MOORAGE_"
# Below the ports that systems give to outgoing connections, so that none of those takes one of
# ours while it is not listened on.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 100
_SHORTEST_WAIT_S = 0.02
_LONGEST_WAIT_S = 1.0
_SERVING = frozenset({DeploymentState.READY, DeploymentState.DEGRADED, DeploymentState.DEPLOYING})


_Records = list[DeploymentRecord]  # `list` is a method's name inside the class


class Deployments:
    """The deployments of one home."""

    def __init__(
        self,
        database: Database,
        workdirs: Workdirs,
        supervisor: Supervisor,
        limits: DeploymentLimits,
    ) -> None:
        """Begin.

        Args:
            database: Where deployments are.
            workdirs: Where their apps are.
            supervisor: What runs them.
            limits: What a deployment is held to that chooses nothing else.
        """
        self._limits = limits
        self._database = database
        self._workdirs = workdirs
        self._supervisor = supervisor
        self._endpoint = Endpoint()

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace the current one without a failed request.

        Raises:
            AlreadyExistsError: `current` is `None` and the name is taken.
            ConflictError: `current` is not what is there any more, or a port is taken.
            InvalidRequestError: The specification cannot be met.
            NotFoundError: There is no such artifact or secret, or `current` is gone.
            UnsupportedError: The app asks for a Python that this machine does not have.
            UnavailableError: The supervisor does not start.
        """
        options = parse_options(spec.options)
        limits = self._limits.narrowed(options)
        self._check(spec)
        self._supervisor.ensure()
        for _ in range(_PORT_ATTEMPTS):
            try:
                with self._database.write() as connection:
                    found = records.deployment_named(connection, spec.name)
                    _check_current(spec.name, found, current)
                    number, digest = _artifact(connection, spec.artifact)
                    check_exist(connection, spec.secrets)
                    port = options.port or (found.port if found else _free_port())
                    if found is None or port != found.port:
                        _check_port(connection, port, requested=options.port is not None)
                    if found is None:
                        record = records.insert_deployment(
                            connection, spec, number, digest, port, limits
                        )
                    else:
                        record = records.want_revision(
                            connection, found, spec, number, digest, port, limits
                        )
                break
            except PortTakenError:
                continue
        else:
            raise UnavailableError(
                f"no free port was found between {_PORTS.start} and {_PORTS.stop}",
                hint="choose one with the option `port`",
                origin=Origin.PROVIDER,
            )
        self._supervisor.ensure()
        return _running(record)

    def get(self, name: str, /) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            record = _required(connection, name)
        return self._deployment(self._attended([record])[0])

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return one page, by name."""
        with self._database.read() as connection:
            found = records.some_deployments(connection, page_token or "", _PAGE_LENGTH)
        return Page(
            items=tuple(self._deployment(record) for record in self._attended(found)),
            next_token=found[-1].name if len(found) == _PAGE_LENGTH else None,
        )

    def start(self, name: str, /) -> Step[Deployment]:
        """Begin to start a deployment that is stopped or has failed; one that runs is left alone.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is being deleted.
        """
        self._supervisor.ensure()
        with self._database.write() as connection:
            record = _required(connection, name)
            _check_not_deleting(record)
            if not record.running or record.state is DeploymentState.FAILED:
                record = records.want_running(connection, record)
        return self._begun(record)

    def stop(self, name: str, /) -> Step[Deployment]:
        """Begin to stop a deployment; one that is stopped is left alone.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is being deleted.
        """
        with self._database.write() as connection:
            record = _required(connection, name)
            _check_not_deleting(record)
            if record.running:
                record = records.want_stopped(connection, record)
        return self._begun(record)

    def delete(self, name: str, /) -> Step[Deployment]:
        """Begin to delete a deployment with its log; its artifact stays.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.write() as connection:
            record = _required(connection, name)
            if not record.deleting:
                record = records.want_deleted(connection, record)
        return self._begun(record)

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Look once how far a call is."""
        generation = int(native["generation"])
        with self._database.read() as connection:
            record = records.deployment_with_id(connection, native["id"])
            change = records.change(connection, native["id"], generation)
        if record is None:
            if kind == "deployments.delete":
                return Step(state=OperationState.SUCCEEDED, native=dict(native))
            return Step(
                state=OperationState.CANCELLED,
                native=dict(native),
                message="the deployment was deleted before this was done",
            )
        if change is None:  # so many changes ago that it was forgotten
            return Step(
                state=OperationState.CANCELLED,
                native=dict(native),
                message="other changes were asked for since",
            )
        if change.state is OperationState.RUNNING:
            (record,) = self._attended([record])
            return Step(
                state=change.state,
                native=dict(native),
                resource=self._deployment(record),
                message=record.message or record.phase,
                wait_s=_pause_s(record),
            )
        return Step(
            state=change.state,
            native=dict(native),
            resource=self._deployment(record),
            message=change.message,
        )

    def cancel(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Call off a deploy or a start that is under way: what served before goes on to serve."""
        generation = int(native["generation"])
        with self._database.write() as connection:
            record = records.deployment_with_id(connection, native["id"])
            change = records.change(connection, native["id"], generation)
            if (
                record is not None
                and change is not None
                and change.state is OperationState.RUNNING
                and record.generation == generation
            ):
                if not record.running:
                    raise ConflictError(
                        f"deployment {record.name!r} is being"
                        f" {'deleted' if record.deleting else 'stopped'},"
                        " which cannot be called off",
                        hint="wait for its end, then start or deploy it again",
                    )
                records.want_what_was(connection, record)
        self._supervisor.ensure()
        return self.advance(kind, native)

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to the deployment's port and return what the app answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            UnavailableError: It cannot be reached, or gave no answer.
            TimedOutError: No whole answer came in time.
        """
        with self._database.read() as connection:
            record = _required(connection, name)
        if record.revision is None or record.state not in _SERVING:
            raise ConflictError(
                f"deployment {name!r} does not serve: it is {record.state}"
                + (f" ({record.message})" if record.message else ""),
                hint=_HINTS.get(record.state, "wait until it is ready"),
            )
        try:
            return self._endpoint.call(name, _url(record), request)
        except UnavailableError:
            if record.running:
                self._supervisor.ensure()  # so that a second try finds somebody
            raise

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._endpoint.close()
        self._supervisor.close()

    def _check(self, spec: DeploymentSpec) -> None:
        for field in ("instance_type", "min_replicas", "max_replicas"):
            if getattr(spec, field) is not None:
                raise InvalidRequestError(
                    f"the local provider has no {field}", fields={field: "not supported"}
                )
        if spec.replicas is not None and not 1 <= spec.replicas <= _MOST_WORKERS:
            raise InvalidRequestError(
                f"replicas cannot be {spec.replicas}",
                hint=f"use 1 to {_MOST_WORKERS}; each is a process on this machine",
                fields={"replicas": f"not from 1 to {_MOST_WORKERS}"},
            )
        for name in spec.env:
            if name.startswith(_RESERVED):
                raise InvalidRequestError(
                    f"the variable {name} is the local provider's own",
                    hint=f"choose a name that does not begin with {_RESERVED}",
                    fields={f"env.{name}": "reserved"},
                )
        with self._database.read() as connection:
            _, digest = _artifact(connection, spec.artifact)
            check_exist(connection, spec.secrets)
        app = find_app(self._workdirs, digest, f"artifact {spec.artifact}")
        _check_app(app, spec)

    def _begun(self, record: DeploymentRecord) -> Step[Deployment]:
        """Return the step of a generation that was begun just now, or before."""
        if record.settled:
            return Step(
                state=OperationState.SUCCEEDED,
                native=_native(record),
                resource=self._deployment(record),
            )
        self._supervisor.ensure()
        return _running(record)

    def _attended(self, found: _Records) -> _Records:
        """Return the records as they can be believed: with an agent behind them.

        After the machine was switched off, or everything was killed, there is none. Then another
        one is started, and what should run is on its way.
        """
        needy = [record for record in found if record.running or not record.settled]
        if not needy or self._supervisor.ping():
            return found
        self._supervisor.ensure()
        return [_unattended(record) if record in needy else record for record in found]

    def _deployment(self, record: DeploymentRecord) -> Deployment:
        serving = None
        if record.revision is not None:
            with self._database.read() as connection:
                serving = records.revision(connection, record.id, record.revision)
        spec = serving.spec if serving else record.spec
        ready = 0
        if serving is not None and serving.unit is not None and record.state in _SERVING:
            ready = count_workers(self._supervisor.unit_socket(serving.unit))
            if record.state is DeploymentState.READY:
                ready = ready or 1  # a bento's workers cannot be counted
        return Deployment(
            id=record.id,
            name=record.name,
            state=record.state,
            native_state=record.phase,
            message=record.message,
            artifact=spec.artifact,
            spec=record.spec,
            revision=str(serving.number) if serving else None,
            url=_url(record),
            replicas_ready=ready,
            created_at=moment(record.created_at),
            updated_at=moment(record.updated_at),
            raw={
                "generation": record.generation,
                "observed": record.observed,
                "wanted": record.wanted,
                "unit": serving.unit if serving else None,
            },
        )


_HINTS = {
    DeploymentState.STOPPED: "start it first",
    DeploymentState.STOPPING: "wait until it is stopped, then start it",
    DeploymentState.FAILED: "look at its log, then deploy a version that works or start it again",
}


def _url(record: DeploymentRecord) -> str:
    return f"http://{HOST}:{record.port}"


def _native(record: DeploymentRecord) -> dict[str, str]:
    return {"name": record.name, "id": record.id, "generation": str(record.generation)}


def _running(record: DeploymentRecord) -> Step[Deployment]:
    return Step(
        state=OperationState.RUNNING,
        native=_native(record),
        message=record.phase,
        wait_s=_SHORTEST_WAIT_S,
    )


def _pause_s(record: DeploymentRecord) -> float:
    """Suggest to look often at first, and less often at what takes long."""
    age = (datetime.now(UTC) - moment(record.updated_at)).total_seconds()
    return min(max(age / 10, _SHORTEST_WAIT_S), _LONGEST_WAIT_S)


def _unattended(record: DeploymentRecord) -> DeploymentRecord:
    import msgspec

    if record.state not in {DeploymentState.READY, DeploymentState.DEGRADED}:
        return record
    return msgspec.structs.replace(
        record,
        state=DeploymentState.DEPLOYING,
        phase="waiting for the agent",
        message="the local provider's agent did not run and is being started",
    )


def _required(connection: sqlite3.Connection, name: str) -> DeploymentRecord:
    record = records.deployment_named(connection, name)
    if record is None:
        raise NotFoundError(
            f"no deployment named {name!r}", hint="`moorage deployments list` shows them"
        )
    return record


def _check_current(name: str, found: DeploymentRecord | None, current: Deployment | None) -> None:
    if found is not None and found.deleting:
        raise ConflictError(
            f"deployment {name!r} is being deleted", hint="try again when it is gone"
        )
    if current is None:
        if found is not None:
            raise AlreadyExistsError(
                f"there is a deployment named {name!r}", hint="deploy to it, or choose another name"
            )
        return
    if found is None:
        raise NotFoundError(f"deployment {name!r} was deleted meanwhile", hint="create it again")
    seen = current.raw.get("generation") if isinstance(current.raw, dict) else None
    if found.id != current.id or (seen is not None and seen != found.generation):
        raise ConflictError(
            f"deployment {name!r} was changed by somebody else meanwhile",
            hint="look at it, then deploy again",
        )


def _check_not_deleting(record: DeploymentRecord) -> None:
    if record.deleting:
        raise ConflictError(
            f"deployment {record.name!r} is being deleted", hint="create it again when it is gone"
        )


def _artifact(connection: sqlite3.Connection, ref: ArtifactRef) -> tuple[int, str]:
    row = connection.execute(
        "SELECT number, kind, digest, file_name FROM artifacts WHERE name = ? AND version = ?",
        (ref.name, ref.version),
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"there is no artifact {ref}", hint="`moorage artifacts list` shows what there is"
        )
    if row["kind"] != ArtifactKind.APP or row["file_name"] is not None:
        raise InvalidRequestError(
            f"artifact {ref} is a {row['kind']}, not an app",
            hint="deploy an artifact of the kind 'app'",
            fields={"artifact": "not an app"},
        )
    return row["number"], row["digest"]


def _check_app(app: App, spec: DeploymentSpec) -> None:
    if not app.serves:
        raise InvalidRequestError(
            f"artifact {spec.artifact} has no [service] in its moorage.toml,"
            " so that there is nothing to deploy",
            hint='add [service] with app = "module:callable", or run it as a job',
            fields={"artifact": "no service"},
        )
    if app.is_bento and (spec.replicas or 1) != 1:
        raise InvalidRequestError(
            f"artifact {spec.artifact} is a bento, which says itself how many workers it has",
            hint="set `workers` in the bento's service",
            fields={"replicas": "not for a bento"},
        )
    try:
        choose_interpreter(app.python)
    except BuildError as exc:
        raise UnsupportedError(
            f"artifact {spec.artifact} cannot run here: {exc}",
            reason=str(exc),
            hint=f"install Python {app.python}, or change `python` in its moorage.toml",
        ) from exc


def _free_port() -> int:
    return random.choice(_PORTS)  # noqa: S311  # nothing secret about a port


def _check_port(connection: sqlite3.Connection, port: int, *, requested: bool) -> None:
    owner = records.deployment_at_port(connection, port)
    free = owner is None
    if free:
        with contextlib.closing(socket.socket(socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                probe.listen(1)
            except OSError:
                free = False
    if free:
        return
    if not requested:
        raise PortTakenError
    raise ConflictError(
        f"port {port} is taken by {f'deployment {owner!r}' if owner else 'another program'}",
        hint="choose another port, or leave the option `port` out",
    )
