"""What the cloud is made of: computers, web apps, spaces and jobs."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from .._pace import Course
from .errors import not_found
from .releases import Release

if TYPE_CHECKING:
    from .state import CloudState


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
    custom_domain: str = ""
    custom_domain_status: str = "unmapped"
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
            "custom_domain": self.custom_domain,
            "custom_domain_status": self.custom_domain_status,
            "last_deployed_at": self.last_deployed_at and stamp(self.last_deployed_at),
            "last_deployment_status": self.last_deployment_status,
            "created_at": stamp(self.created_at),
        }


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
