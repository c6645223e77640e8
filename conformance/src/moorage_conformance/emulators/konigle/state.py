"""What the emulated cloud holds, and how it changes."""

import asyncio
import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moorage.plugin import Clock

from .._pace import Pace
from .errors import conflict, invalid, refused
from .releases import Release
from .resources import Computer, Job, Space, WebApp, found, of, stamp

_EPOCH_MS = 1_704_067_200_000  # of snowflakes
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REGION = re.compile(r"[a-z]+(?:-[a-z]+)*-?\d*")
_SUFFIX = "hostbento.app"

SIZES = ("S", "M", "L")
RUNTIMES = ("python3", "nodejs")


class CloudState:
    """One project with its computers, web apps, spaces and jobs.

    Attributes:
        taken: Names of web apps of other projects.
        clock: The time.
        pace: How fast jobs go.
        install: Has a space really run a release, where apps run; the result is why it does not.
    """

    def __init__(self, clock: Clock, pace: Pace) -> None:
        self.clock = clock
        self.pace = pace
        self.taken: set[str] = set()
        self.computers: dict[str, Computer] = {}
        self.webapps: dict[str, WebApp] = {}
        self.spaces: dict[str, Space] = {}
        self.jobs: dict[str, Job] = {}
        self.install: Callable[[Space, Release], asyncio.Future[str | None] | None] | None = None
        self._failures: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._addresses = itertools.count(1)
        self._names = itertools.count(1)
        self._last_id = 0

    def new_id(self) -> str:
        """Return an id that nothing had before, here or in an emulator that ran before."""
        number = (int(self.clock.now().timestamp() * 1000) - _EPOCH_MS) << 22
        self._last_id = max(number, self._last_id + 1)
        return str(self._last_id)

    def fail_next(self, task: str, message: str) -> None:
        """Let the next job of that task fail, with this as the last line of its log."""
        self._failures[task] = message

    def look_around(self) -> None:
        """Let all that goes on do so, since a client looks at what it changes."""
        for job in self.jobs.values():
            if job.running:
                job.look()

    # Computers ------------------------------------------------------------------------------------

    def create_computer(self, body: Mapping[str, Any]) -> tuple[Computer, Job]:
        """Begin to provision a computer."""
        display_name = _text(body, "display_name", required=True)
        region = _text(body, "region", required=True)
        if body.get("size") not in SIZES:
            raise invalid(size=f'"{body.get("size")}" is not a valid choice.')
        if not _REGION.fullmatch(region):
            raise invalid(region="Unknown region.")
        name = _text(body, "name") or self._slug_of(display_name)
        if not _SLUG.fullmatch(name):
            raise invalid(name="Enter a valid slug.")
        if any(computer.name == name for computer in self.computers.values()):
            raise conflict("A computer with this name already exists.")
        computer = Computer(
            id=self.new_id(),
            name=name,
            display_name=display_name,
            size=body["size"],
            region=region,
            emoji=_text(body, "emoji"),
            status="provisioning",
            created_at=self.clock.now(),
        )
        self.computers[computer.id] = computer

        def done(succeeded: bool) -> None:  # noqa: FBT001  # a callback's one argument
            computer.status = "ready" if succeeded else "error"
            if succeeded:
                computer.public_ip = f"203.0.113.{next(self._addresses) % 254 + 1}"

        return computer, self._begin("provision_computer", done)

    def change_computer(self, id_: str, body: Mapping[str, Any]) -> Computer:
        """Change what can be changed of a computer."""
        computer: Computer = found(self.computers, id_)
        _change(computer, body, ("display_name", "emoji"))
        return computer

    def delete_computer(self, id_: str) -> None:
        """Delete a computer that has no web app."""
        found(self.computers, id_)
        if any(webapp.computer == id_ for webapp in self.webapps.values()):
            raise conflict("The computer has web apps.")
        del self.computers[id_]

    # Web apps -------------------------------------------------------------------------------------

    def available(self, name: str) -> bool:
        """Return whether nobody has a web app of that name."""
        ours = {webapp.name for webapp in self.webapps.values()}
        return bool(_SLUG.fullmatch(name)) and name not in self.taken | ours

    def create_webapp(
        self, body: Mapping[str, Any], domain: Callable[[str, str], str] | None = None
    ) -> tuple[WebApp, Job]:
        """Begin to provision a web app and its spaces.

        Args:
            body: What the client sent.
            domain: Gives a space's domain by its id and the beginning of the usual one.
        """
        computer = self.computers.get(_text(body, "computer_id", required=True))
        name = _text(body, "name", required=True)
        _text(body, "web_server", required=True)
        if computer is None:
            raise invalid(computer_id="There is no such computer.")
        if computer.status != "ready":
            raise invalid(computer_id="The computer is not ready.")
        if body.get("runtime") not in RUNTIMES:
            raise invalid(runtime=f'"{body.get("runtime")}" is not a valid choice.')
        if not _SLUG.fullmatch(name):
            raise invalid(name="Enter a valid slug.")
        if not self.available(name):
            raise conflict("A web app with this name already exists.")
        webapp = WebApp(
            id=self.new_id(),
            name=name,
            display_name=_text(body, "display_name") or name,
            runtime=body["runtime"],
            computer=computer.id,
            emoji=_text(body, "emoji"),
            created_at=self.clock.now(),
        )
        self.webapps[webapp.id] = webapp
        spaces = []
        for kind, label in (("uat", f"{name}-uat"), ("production", name)):
            id_ = self.new_id()
            space = Space(
                id=id_,
                space_type=kind,
                status="provisioning",
                webapp=webapp.id,
                platform_domain=domain(id_, label) if domain else f"{label}.{_SUFFIX}",
                created_at=self.clock.now(),
            )
            self.spaces[id_] = space
            spaces.append(space)

        def done(succeeded: bool) -> None:  # noqa: FBT001  # a callback's one argument
            for space in spaces:
                space.status = "running" if succeeded else "error"

        return webapp, self._begin("provision_webapp", done)

    def change_webapp(self, id_: str, body: Mapping[str, Any]) -> WebApp:
        """Change what can be changed of a web app."""
        webapp: WebApp = found(self.webapps, id_)
        _change(webapp, body, ("display_name", "emoji"))
        return webapp

    def delete_webapp(self, id_: str) -> list[Space]:
        """Delete a web app and return the spaces that went with it."""
        found(self.webapps, id_)
        del self.webapps[id_]
        gone = [space for space in self.spaces.values() if space.webapp == id_]
        for space in gone:
            del self.spaces[space.id]
        return gone

    # Spaces ---------------------------------------------------------------------------------------

    def change_space(self, id_: str, body: Mapping[str, Any]) -> Space:
        """Change what can be changed of a space; that this is its own domain is assumed."""
        space: Space = found(self.spaces, id_)
        _change(space, body, ("custom_domain",))
        space.custom_domain_status = "pending" if space.custom_domain else "unmapped"
        return space

    def delete_space(self, id_: str) -> None:
        """Delete a space; that the service lets a web app live without it is assumed."""
        space: Space = found(self.spaces, id_)
        if space.job is not None and space.job.running:
            raise conflict("A deployment is already in progress.")
        del self.spaces[id_]

    def deploy(self, id_: str, release: Release, display_name: str) -> dict[str, Any]:
        """Begin to let a space run a release."""
        space = found(self.spaces, id_)
        return self._release(space, release, display_name, "deploy_space")

    def promote(self, id_: str) -> dict[str, Any]:
        """Begin to let the production space run what the other one runs."""
        space = found(self.spaces, id_)
        if space.space_type != "uat":
            raise refused("Only a uat space can be promoted.")
        if space.release is None:
            raise refused("Nothing is deployed to this space.")
        self.check_idle(space)
        others = of(self.spaces.values(), webapp=space.webapp, space_type="production")
        if not others:
            raise refused("There is no production space to promote to.")
        production = others[0]
        return self._release(production, space.release, "", "promote_space")

    def check_idle(self, space: Space) -> None:
        """Refuse if something is under way for a space, or it is not there yet."""
        if space.status == "provisioning":
            raise conflict("The space is not ready.")
        if space.job is not None and space.job.running:
            raise conflict("A deployment is already in progress.")

    def _release(
        self, space: Space, release: Release, display_name: str, task: str
    ) -> dict[str, Any]:
        self.check_idle(space)
        created_at = self.clock.now()

        def done(succeeded: bool) -> None:  # noqa: FBT001  # a callback's one argument
            space.last_deployed_at = self.clock.now()
            space.last_deployment_status = "success" if succeeded else "failed"
            if succeeded:
                space.status, space.release = "running", release
            elif space.release is None:
                space.status = "error"

        work = self.install(space, release) if self.install and not release.flaw else None
        job = self._begin(task, done, fails=release.flaw, work=work)
        space.job = job
        return {
            "id": str(uuid.uuid4()),
            "display_name": display_name or f"deploy-{next(self._numbers)}",
            "space_id": space.id,
            "job_id": job.id,
            "created_at": stamp(created_at),
        }

    def _begin(
        self,
        task: str,
        done: Callable[[bool], None],
        *,
        fails: str | None = None,
        work: "asyncio.Future[str | None] | None" = None,
    ) -> Job:
        fails = self._failures.pop(task, None) or fails
        job = Job(self, task, fails=fails, done=done, work=work)
        self.jobs[job.id] = job
        return job

    def _slug_of(self, display_name: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")[:40] or "computer"
        return f"{plain}-{next(self._names):04x}"


def _text(body: Mapping[str, Any], field: str, *, required: bool = False) -> str:
    value = body.get(field)
    if value is None or value == "":
        if required:
            raise invalid(**{field: "This field is required."})
        return ""
    if not isinstance(value, str):
        raise invalid(**{field: "Not a valid string."})
    return value


def _change(thing: Any, body: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    for field in body:
        if field not in fields:
            raise invalid(**{field: "This field cannot be changed."})
    for field, value in body.items():
        setattr(thing, field, "" if value is None else _text({field: value}, field))
