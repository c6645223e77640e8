"""What the emulated cloud holds, and how it changes."""

import asyncio
import itertools
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from moorage.plugin import Clock

from .._pace import Course, Pace
from .errors import conflict, invalid, not_found, refused
from .releases import Release

_EPOCH_MS = 1_704_067_200_000  # of snowflakes
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REGION = re.compile(r"[a-z]+(?:-[a-z]+)*-?\d*")
_SUFFIX = "hostbento.app"

SIZES = ("S", "M", "L")
RUNTIMES = ("python3", "nodejs")


class Job:
    """Something that goes on for a while, with a log that only grows."""

    def __init__(
        self,
        state: "CloudState",
        task: str,
        *,
        fails: str | None,
        done: Callable[[bool], None],
        work: "asyncio.Future[str | None] | None" = None,
    ) -> None:
        """Begin.

        Args:
            state: Of the cloud.
            task: What it does.
            fails: Why it will fail; `None` where it will not.
            done: Called at its end with whether it succeeded.
            work: What really goes on, if anything does; its result is why it failed.
        """
        self.id = str(uuid.uuid4())
        self.task = task
        self.created_at = state.clock.now()
        self.completed_at: datetime | None = None
        self.log: list[dict[str, str]] = []
        self._clock = state.clock
        self._fails = fails
        self._done = done
        self._work = work
        self._course = Course(("pending", "running", "ended"), state.pace, state.clock, self._enter)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._working or not self._course.ended

    def say(self, message: str, level: str = "info") -> None:
        """Write into its log."""
        moment = stamp(self._clock.now())
        self.log.append({"level": level, "message": message, "timestamp": moment})

    def finish(self) -> None:
        """End it now."""
        self._course.finish()

    def look(self) -> str:
        """Return its status; being looked at lets it go on."""
        if self._working:
            self._begin()
            return "running"
        status = self._course.look()
        if status != "ended":
            return status
        return "failed" if self._fails else "success"

    def shown(self) -> dict[str, Any]:
        """Return it as it is seen."""
        status = self.look()
        return {
            "id": self.id,
            "status": status,
            "task_name": self.task,
            "log": list(self.log),
            "created_at": stamp(self.created_at),
            "completed_at": self.completed_at and stamp(self.completed_at),
        }

    @property
    def _working(self) -> bool:
        return self._work is not None and not self._work.done()

    def _begin(self) -> None:
        if not self.log:
            self.say(f"{self.task} begins")

    def _enter(self, status: str) -> None:
        self._begin()
        if status == "running":
            return
        if self._work is not None:
            self._fails = self._fails or self._work.result()
        if self._fails:
            self.say(self._fails, "error")
        else:
            self.say(f"{self.task} is done")
        self.completed_at = self._clock.now()
        self._done(not self._fails)


class Computer(msgspec.Struct, kw_only=True):
    """A virtual machine."""

    id: str
    name: str
    display_name: str
    size: str
    region: str
    emoji: str
    status: str
    created_at: datetime
    public_ip: str | None = None

    def shown(self) -> dict[str, Any]:
        """Return it as it is seen."""
        return {**msgspec.structs.asdict(self), "created_at": stamp(self.created_at)}


class WebApp(msgspec.Struct, kw_only=True):
    """An app of a computer."""

    id: str
    name: str
    display_name: str
    runtime: str
    computer: str
    emoji: str
    created_at: datetime

    def shown(self) -> dict[str, Any]:
        """Return it as it is seen."""
        return {**msgspec.structs.asdict(self), "created_at": stamp(self.created_at)}


class Space(msgspec.Struct, kw_only=True):
    """Where one stage of a web app runs."""

    id: str
    space_type: str
    status: str
    webapp: str
    platform_domain: str
    created_at: datetime
    last_deployed_at: datetime | None = None
    last_deployment_status: str | None = None
    release: Release | None = None
    job: Job | None = None

    def shown(self) -> dict[str, Any]:
        """Return it as it is seen."""
        return {
            "id": self.id,
            "space_type": self.space_type,
            "status": self.status,
            "webapp": self.webapp,
            "platform_domain": self.platform_domain,
            "custom_domain": "",
            "custom_domain_status": "unmapped",
            "last_deployed_at": self.last_deployed_at and stamp(self.last_deployed_at),
            "last_deployment_status": self.last_deployment_status,
            "created_at": stamp(self.created_at),
        }


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
        production = next(
            other
            for other in self.spaces.values()
            if other.webapp == space.webapp and other.space_type == "production"
        )
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


def found(things: Mapping[str, Any], id_: str) -> Any:
    """Return one of these.

    Raises:
        RefusalError: There is none of that id.
    """
    if id_ not in things:
        raise not_found()
    return things[id_]


def stamp(moment: datetime) -> str:
    """Return a moment as the service writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of(things: Iterable[Any], **wanted: str | None) -> list[Any]:
    """Return those that have all the wanted attributes; `None` wants nothing."""
    return [
        thing
        for thing in things
        if all(value is None or getattr(thing, name) == value for name, value in wanted.items())
    ]


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
