"""Deploys and promotions: what is done in which order, each step once.

A new web app has to be provisioned first, which takes a job of its own; the archive follows when
that has ended. Whoever looks at the operation then, in whichever process, takes the next step, so
that the profile's record decides who: an attempt that is written down there is not made again.
"""

import os
import uuid
from collections.abc import Callable, Mapping

import msgspec

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Origin,
    Retry,
    UnavailableError,
)
from moorage.plugin import (
    ArtifactKind,
    Clock,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    OperationState,
    Step,
)

from ._artifact_driver import Artifacts
from ._client import Client
from ._neutral import PRODUCTION, UAT, last_words
from ._options import parse_options
from ._records import Record, Records
from ._webapp_lookup import Lookup
from ._wire import Deployment as WireDeployment
from ._wire import Job, Space, WebApp

_PROVISION = "provision"
_DEPLOY = "deploy"
_PROMOTE = "promote"
_LONGEST_WAIT_S = 60.0


class Rollout:
    """Takes the steps of deploys and promotions."""

    def __init__(
        self,
        client: Client,
        lookup: Lookup,
        artifacts: Artifacts,
        records: Records,
        clock: Clock,
        look: Callable[[WebApp], Deployment],
    ) -> None:
        self._client = client
        self._lookup = lookup
        self._artifacts = artifacts
        self._records = records
        self._clock = clock
        self._look = look

    def create(self, spec: DeploymentSpec) -> Step[Deployment]:
        """Begin to make a web app for a deployment.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        self._check_artifact(spec)
        if self._exists(spec.name):
            raise AlreadyExistsError(
                f"there is a deployment {spec.name!r}",
                hint="`deploy` replaces it",
                resource=f"deployment/{spec.name}",
            )
        settings = self._client.settings
        body = {
            "computer_id": self._lookup.computer().id,
            "name": spec.name,
            "runtime": settings.runtime,
            "web_server": settings.web_server,
            "database": settings.database,
            "cache": settings.cache,
        }
        try:
            webapp, job_id = self._client.webapps.create(body)
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            webapp, job_id = self._after_lost_create(spec.name, exc), ""
        return self._planned(webapp.id, job_id, spec)

    def replace(self, spec: DeploymentSpec, webapp: WebApp) -> Step[Deployment]:
        """Begin to deploy to a web app that is there."""
        self._check_artifact(spec)
        uat = self._lookup.spaces(webapp.id).get(UAT)
        if uat is None or uat.status == "provisioning":
            return self._planned(webapp.id, "", spec)
        return self._send(webapp.id, uat, spec, uuid.uuid4().hex)

    def pick_up(self, webapp: WebApp) -> Step[Deployment] | None:
        """Return the step of the deploy that this profile remembers."""
        record = self._records.get(webapp.id, UAT)
        return self._of_record(webapp.id, record) if record is not None else None

    def promote(self, webapp: WebApp) -> Step[Deployment]:
        """Begin to let production run what the other space runs."""
        spaces = self._lookup.spaces(webapp.id)
        uat, production = spaces.get(UAT), spaces.get(PRODUCTION)
        if uat is None:
            raise NotFoundError(
                f"{webapp.name!r} has no space to promote from",
                resource=f"deployment/{webapp.name}",
            )
        try:
            made = self._client.spaces.promote(uat.id)
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            raise self._unknown(exc, production, "promoted") from exc
        return Step(
            state=OperationState.RUNNING,
            native={"phase": _PROMOTE, "webapp": webapp.id, "job": made.job_id},
        )

    def advance(self, native: Mapping[str, str]) -> Step[Deployment]:
        """Look once, and take the next step where its time has come.

        Raises:
            InvalidRequestError: It is not one of ours.
        """
        try:
            phase, webapp_id = native["phase"], native["webapp"]
            job_id, text = native.get("job", ""), native.get("spec", "")
            spec = msgspec.json.decode(text, type=DeploymentSpec) if text else None
        except (KeyError, msgspec.DecodeError) as exc:
            raise InvalidRequestError(
                "this operation was not begun by this provider", hint="begin it anew"
            ) from exc
        job = self._client.jobs.get(job_id) if job_id else None
        if job is not None and not job.is_terminal:
            return self._running(native, job)
        if job is not None and not job.succeeded:
            return self._failed(native, webapp_id, phase, job)
        if phase == _PROVISION and spec is not None:
            return self._provisioned(native, webapp_id, spec)
        return self._released(native, webapp_id, phase, job)

    # The steps ------------------------------------------------------------------------------------

    def _planned(self, webapp_id: str, job_id: str, spec: DeploymentSpec) -> Step[Deployment]:
        """Write down what is to be deployed once the web app is provisioned."""
        record = Record(
            operation=uuid.uuid4().hex,
            state="planned",
            spec=spec,
            begun_at=self._clock.now(),
            job_id=job_id,
        )
        self._records.put(webapp_id, UAT, record)
        return self._step(_PROVISION, webapp_id, job_id, spec, record.operation)

    def _provisioned(
        self, native: Mapping[str, str], webapp_id: str, spec: DeploymentSpec
    ) -> Step[Deployment]:
        uat = self._lookup.spaces(webapp_id).get(UAT)
        if uat is None or uat.status == "provisioning":
            return self._running(native, None)
        if uat.status == "error" and uat.last_deployed_at is None:
            return Step(
                state=OperationState.FAILED,
                native=dict(native),
                message="its space could not be provisioned",
            )
        tries = native.get("tries", "")
        return self._send(
            webapp_id,
            uat,
            spec,
            native["operation"],
            tries=int(tries) if tries.isdigit() else 0,
        )

    def _send(
        self, webapp_id: str, uat: Space, spec: DeploymentSpec, operation: str, *, tries: int = 0
    ) -> Step[Deployment]:
        """Send the archive, unless this attempt was made before."""
        options = parse_options(spec.options)
        with self._artifacts.fetched(spec.artifact) as archive:
            before = self._records.get(webapp_id, UAT)
            record = Record(
                operation=operation,
                state="sending",
                spec=spec,
                begun_at=self._clock.now(),
                process=os.getpid(),
                before=_what_runs(before),
            )
            made_before = self._records.claim(webapp_id, UAT, record)
            if made_before is not None:
                return self._of_record(webapp_id, made_before)
            try:
                made = self._client.spaces.deploy(
                    uat.id, archive, display_name=options.display_name
                )
            except ConflictError:
                return self._queued(webapp_id, record, tries)
            except MoorageError as exc:
                if exc.retry is not Retry.UNKNOWN_OUTCOME:
                    self._restore(webapp_id, record, before)
                    raise
                error = self._unknown(exc, uat, "deployed")
                self._records.put(
                    webapp_id,
                    UAT,
                    msgspec.structs.replace(record, state="unknown", message=error.message),
                )
                raise error from exc
            except BaseException:
                # Interrupted while it was sent: the service may have all of it.
                lost = msgspec.structs.replace(
                    record, state="unknown", message="the last deploy was interrupted"
                )
                self._records.put(webapp_id, UAT, lost)
                raise
        return self._sent(webapp_id, record, made)

    def _queued(self, webapp_id: str, record: Record, tries: int) -> Step[Deployment]:
        """Wait for the end of another deploy to the space, which the service does one by one."""
        waiting = msgspec.structs.replace(record, state="planned", process=0)
        self._records.put(webapp_id, UAT, waiting)
        step = self._step(_PROVISION, webapp_id, "", record.spec, record.operation)
        return msgspec.structs.replace(
            step,
            native={**step.native, "tries": str(tries + 1)},
            message="waiting for another deploy to the same space",
            wait_s=min(_LONGEST_WAIT_S, 2.0**tries),  # each try sends the whole archive
        )

    def _sent(self, webapp_id: str, record: Record, made: WireDeployment) -> Step[Deployment]:
        sent = msgspec.structs.replace(
            record, state="sent", job_id=made.job_id, deployment_id=made.id, process=0
        )
        self._records.put(webapp_id, UAT, sent)
        return self._step(_DEPLOY, webapp_id, made.job_id, record.spec, record.operation)

    def _of_record(self, webapp_id: str, record: Record) -> Step[Deployment]:
        """Go on with an attempt that another look at the operation has begun."""
        if record.state == "sent":
            return self._step(_DEPLOY, webapp_id, record.job_id, record.spec, record.operation)
        if record.state == "planned":
            return self._step(_PROVISION, webapp_id, record.job_id, record.spec, record.operation)
        if record.state == "sending" and _is_alive(record.process):
            return self._step(_PROVISION, webapp_id, "", record.spec, record.operation)
        raise UnavailableError(
            record.message or "the process that sent the archive ended before it had an answer",
            retry=Retry.UNKNOWN_OUTCOME,
            hint="look at what answers, and deploy again if it is not what you want",
        )

    def _released(
        self, native: Mapping[str, str], webapp_id: str, phase: str, job: Job | None
    ) -> Step[Deployment]:
        resource = self._look(self._client.webapps.get(webapp_id))
        if phase == _PROMOTE:
            return Step(
                state=OperationState.SUCCEEDED,
                native=dict(native),
                resource=resource,
                message=last_words(job) if job is not None else "",
            )
        going = {DeploymentState.PENDING, DeploymentState.DEPLOYING}
        done = resource.state not in going
        return Step(
            state=OperationState.SUCCEEDED if done else OperationState.RUNNING,
            native=dict(native),
            resource=resource,
            message=resource.message,
        )

    def _running(self, native: Mapping[str, str], job: Job | None) -> Step[Deployment]:
        message = last_words(job) if job is not None else "waiting for its space"
        return Step(state=OperationState.RUNNING, native=dict(native), message=message)

    def _failed(
        self, native: Mapping[str, str], webapp_id: str, phase: str, job: Job
    ) -> Step[Deployment]:
        resource = None
        if phase == _DEPLOY:
            resource = self._look(self._client.webapps.get(webapp_id))
        said = last_words(job)
        return Step(
            state=OperationState.FAILED,
            native=dict(native),
            resource=resource,
            message=f"job {job.id} ({job.task_name}) failed{f': {said}' if said else ''}",
        )

    # What they stand on ---------------------------------------------------------------------------

    def _check_artifact(self, spec: DeploymentSpec) -> None:
        parse_options(spec.options)
        _, label = self._artifacts.find(spec.artifact)
        if label.kind is not ArtifactKind.APP:
            raise InvalidRequestError(
                f"{spec.artifact} is {label.kind}, and only an app can be deployed",
                fields={"artifact": "not an app"},
            )

    def _exists(self, name: str) -> bool:
        try:
            self._lookup.webapp(name)
        except NotFoundError:
            return False
        return True

    def _after_lost_create(self, name: str, lost: MoorageError) -> WebApp:
        """Return the web app whose creation's reply was lost; nobody else can have made it.

        Raises:
            UnavailableError: It was not made, and may be asked for again.
            MoorageError: The loss itself, where looking does not tell.
        """
        try:
            try:
                return self._lookup.webapp(name)
            except NotFoundError:
                available = self._client.webapps.check_name_availability(name)
        except MoorageError:
            raise lost from lost.__cause__
        if not available:
            raise lost
        raise UnavailableError(
            f"{lost.message}; web app {name!r} was not made, since its name is still free",
            retry=Retry.SAFE,
            origin=lost.origin,
            status=lost.status,
            hint="nothing was changed: the call can be made again",
        ) from lost

    def _unknown(self, lost: MoorageError, before: Space | None, verb: str) -> MoorageError:
        """Return the error of a lost reply with the evidence that there is."""
        was = _seen(before)
        now = "it cannot be looked at now"
        if before is not None:
            try:
                after = self._client.spaces.get(before.id)
            except MoorageError:
                pass
            else:
                now = f"it is {_seen(after)} now"
        return UnavailableError(
            f"{lost.message}; whether it was {verb} is not known: its space's last deploy was"
            f" {was} before the call, and {now}",
            retry=Retry.UNKNOWN_OUTCOME,
            origin=lost.origin if lost.origin is not Origin.CALLER else Origin.NETWORK,
            status=lost.status,
            request_id=lost.request_id,
            hint="look at what answers, and call again if it is not what you want",
        )

    def _restore(self, webapp_id: str, record: Record, before: Record | None) -> None:
        if before is None:
            self._records.forget(webapp_id, UAT, record.operation)
        else:
            self._records.put(webapp_id, UAT, before)

    def _step(
        self, phase: str, webapp_id: str, job_id: str, spec: DeploymentSpec, operation: str
    ) -> Step[Deployment]:
        native = {
            "phase": phase,
            "webapp": webapp_id,
            "job": job_id,
            "operation": operation,
            "spec": msgspec.json.encode(spec).decode(),
        }
        return Step(state=OperationState.RUNNING, native=native)


def _what_runs(record: Record | None) -> str:
    if record is None:
        return ""
    if record.outcome != "success":
        return record.before if record.state == "planned" else ""
    return str(record.spec.artifact)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process > 0


def _seen(space: Space | None) -> str:
    if space is None or space.last_deployed_at is None:
        return "none"
    status = f" ({space.last_deployment_status})" if space.last_deployment_status else ""
    return f"at {space.last_deployed_at.isoformat()}{status}"
