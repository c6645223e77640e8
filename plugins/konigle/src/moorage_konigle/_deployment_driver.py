"""Deployments: web apps with their two spaces."""

import contextlib
import re
from collections.abc import Mapping

import msgspec

from moorage.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import CallRequest, Clock, Deployment, DeploymentSpec, Page, Reply, Step
from moorage.plugin.transport import RequestOptions, SignedUrl

from ._artifact_driver import Artifacts
from ._capabilities import refusal_of
from ._client import Client
from ._neutral import PRODUCTION, UAT, to_deployment, url_of
from ._records import Record, Records
from ._rollout import Rollout
from ._webapp_lookup import Lookup
from ._wire import Job, Space, WebApp

_PAGE = 100
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_ANY_STATUS = range(100, 600)
# Of the connection, or of the form in which the body travelled.
_DROPPED = frozenset({"connection", "content-encoding", "keep-alive", "transfer-encoding"})


class Deployments:
    """The deployments on the profile's computer."""

    def __init__(
        self, client: Client, artifacts: Artifacts, records: Records, clock: Clock
    ) -> None:
        self._client = client
        self._lookup = Lookup(client)
        self._records = records
        self._domains: dict[str, str] = {}
        self._rollout = Rollout(client, self._lookup, artifacts, records, clock, self._look)

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace the current one.

        Raises:
            AlreadyExistsError: `current` is `None` and the name is taken.
            ConflictError: `current` is not what is there any more, or a deploy is under way.
            NotFoundError: There is no such artifact.
            UnavailableError: With `retry` `unknown_outcome`, the reply was lost, and the message
                has the evidence.
        """
        if not _SLUG.fullmatch(spec.name):
            raise InvalidRequestError(
                f"{spec.name!r} cannot be the name of a web app",
                hint="it becomes a part of host names: use letters, digits and hyphens",
                fields={"name": "not a host name"},
            )
        if current is None:
            return self._rollout.create(spec)
        webapp = self._lookup.webapp(spec.name)
        if webapp.id != current.id:
            raise ConflictError(
                f"deployment {spec.name!r} was replaced by another one meanwhile",
                hint="look at it again",
            )
        return self._rollout.replace(spec, webapp)

    def get(self, name: str, /) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """
        return self._look(self._lookup.webapp(name))

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return one page, in the service's order."""
        number = _number(page_token)
        page = self._client.webapps.list(number, _PAGE, computer_id=self._lookup.computer_id())
        spaces = self._lookup.all_spaces() if page.payload else {}
        items = tuple(self._described(w, spaces.get(w.id, {})) for w in page.payload)
        return Page(items=items, next_token=str(number + 1) if page.next else None)

    def start(self, name: str, /) -> Step[Deployment]:
        """Refuse."""
        raise self._refusal("deployments.start", name)

    def stop(self, name: str, /) -> Step[Deployment]:
        """Refuse."""
        raise self._refusal("deployments.stop", name)

    def delete(self, name: str, /) -> Step[Deployment]:
        """Refuse."""
        raise self._refusal("deployments.delete", name)

    def promote(self, name: str, to: str, /) -> Step[Deployment]:
        """Begin to let the production space run what the other one runs.

        Raises:
            NotFoundError: There is no such deployment or stage.
            ConflictError: A deploy is under way.
            UnavailableError: With `retry` `unknown_outcome`, the reply was lost, and the message
                has the evidence.
        """
        if to != PRODUCTION:
            raise NotFoundError(
                f"there is no stage {to!r} to promote to",
                hint=f"there is one: {PRODUCTION}",
                resource=f"deployment/{name}",
            )
        return self._rollout.promote(self._lookup.webapp(name))

    def pick_up(self, name: str, /) -> Step[Deployment] | None:
        """Return the step of a deploy that is under way, whoever began it for this profile."""
        return self._rollout.pick_up(self._lookup.webapp(name))

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:  # noqa: ARG002  # the phase says more
        """Look once how far a deploy or a promotion is, and take its next step."""
        return self._rollout.advance(native)

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to the app and return what it answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: Nothing serves at the profile's stage.
            UnavailableError: It cannot be reached.
        """
        domain = self._domains.get(name) or self._domain(name)
        options: RequestOptions = {
            "headers": _merged(request.headers),
            "success": _ANY_STATUS,
            "repeatable": False,
            "timeout": request.timeout,
        }
        if request.body is not None:
            options["data"] = request.body
        target = SignedUrl(url_of(domain) + request.path)  # so that the key stays here
        try:
            answer = self._client.http.send(request.method, target, returns=bytes, **options)
        except UnavailableError:
            self._domains.pop(name, None)
            raise
        headers = tuple(
            (key.lower(), value)
            for key, value in answer.headers.items()
            if key.lower() not in _DROPPED
        )
        return Reply(status=answer.status, headers=headers, content=answer.content)

    def _look(self, webapp: WebApp) -> Deployment:
        """Return a web app as a deployment, as it is now."""
        return self._described(webapp, self._lookup.spaces(webapp.id))

    def _described(self, webapp: WebApp, spaces: Mapping[str, Space]) -> Deployment:
        record, job = self._records.get(webapp.id, UAT), None
        if record is not None and record.state == "sent" and not record.outcome:
            record, job, spaces = self._followed(webapp, record, spaces)
        return to_deployment(webapp, spaces, record, job, self._client.settings.stage)

    def _followed(
        self, webapp: WebApp, record: Record, spaces: Mapping[str, Space]
    ) -> tuple[Record, Job | None, Mapping[str, Space]]:
        """Look at the job of a deploy, and write down how it ended."""
        try:
            job = self._client.jobs.get(record.job_id)
        except NotFoundError:
            return record, None, spaces  # forgotten by the service
        if not job.is_terminal:
            return record, job, spaces
        # What was read before the job ended may not know of it.
        spaces = self._lookup.spaces(webapp.id)
        uat = spaces.get(UAT)
        ended = msgspec.structs.replace(
            record,
            outcome=job.status,
            deployed_at=uat.last_deployed_at if uat is not None else None,
        )
        with contextlib.suppress(Exception):  # it is written down when it is next looked at
            self._records.put_if_same(webapp.id, UAT, ended)
        return ended, job, spaces

    def _domain(self, name: str) -> str:
        stage = self._client.settings.stage
        space = self._lookup.spaces(self._lookup.webapp(name).id).get(stage)
        if space is None or not space.platform_domain or space.last_deployed_at is None:
            raise ConflictError(
                f"nothing is deployed to {stage!r} of {name!r}",
                hint="promote it first" if stage == PRODUCTION else "deploy it first",
                resource=f"deployment/{name}",
            )
        self._domains[name] = space.platform_domain
        return space.platform_domain

    @staticmethod
    def _refusal(capability: str, name: str) -> UnsupportedError:
        reason = refusal_of(capability)
        return UnsupportedError(
            f"{capability} of {name!r}: {reason}", capability=capability, reason=reason
        )


def _merged(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return headers of which each name stands once; HTTP joins values by commas."""
    merged: dict[str, str] = {}
    for name, value in headers:
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return merged


def _number(page_token: str | None) -> int:
    if not page_token:
        return 1
    if not page_token.isascii() or not page_token.isdigit() or int(page_token) < 1:
        raise InvalidRequestError(
            f"{page_token!a} is no page of the list of deployments", hint="begin the list again"
        )
    return int(page_token)
