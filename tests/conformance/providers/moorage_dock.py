"""A stranger's provider in memory, which keeps artifacts and secrets and can be broken.

`DOCK_BROKEN` names what is wrong with it, or with its harness.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.errors import InvalidRequestError, UnavailableError
from moorage.plugin import (
    Capabilities,
    OpenContext,
    ProviderInfo,
    Settings,
    Support,
    SupportLevel,
    hookimpl,
)

BROKEN = os.environ.get("DOCK_BROKEN", "")

KEPT = {
    name: Support(SupportLevel.FULL)
    for name in Capabilities("dock", {})
    if name.startswith(("artifacts.", "secrets."))
}
if BROKEN == "declares jobs that it has no driver for":
    KEPT["jobs.get"] = Support(SupportLevel.FULL)
if BROKEN == "gives no reason":
    KEPT["secrets.reveal"] = Support(SupportLevel.PARTIAL, "no")


class DockSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It has none."""


@hookimpl
def moorage_provider() -> ProviderInfo:
    return ProviderInfo(
        name="dock",
        summary="Artifacts and secrets in memory",
        open=_open,
        settings=DockSettings,
        capabilities=KEPT,
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    if provider != "dock" or BROKEN == "brings no harness":
        return None
    if BROKEN == "harness lacks a method":
        return object()
    return DockHarness()


_worlds: dict[str, Any] = {}


def _open(settings: DockSettings, _context: OpenContext) -> Any:
    from memory_provider import MemoryDriver, World

    if BROKEN == "opens nothing":
        return None
    if BROKEN == "fails to open":
        raise TypeError("no colour was given")
    world = _worlds.setdefault("one", World())
    driver = MemoryDriver(world)
    driver.deployments = driver.logs = driver.jobs = None
    if BROKEN in BREAKAGES:
        BREAKAGES[BROKEN](driver, world)
    return driver


class DockHarness:
    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        if BROKEN == "harness does not start":
            raise OSError("no port is free")
        yield

    def settings(self) -> Mapping[str, Any]:
        return {"no_such_key": 1} if BROKEN == "harness has wrong settings" else {}

    def bad_credentials(self) -> None:
        return None

    def missing_id(self, resource: str) -> str:
        if BROKEN == "harness calls something missing that exists":
            from memory_provider import World

            from moorage.plugin import Secret

            world = _worlds.setdefault("one", World())
            world.secrets["there"] = (Secret(id="there", name="there"), {})
            return "there"
        return "Not A Name" if BROKEN == "harness has a malformed id" else f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> None:
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        return directory / "gone" if BROKEN == "harness has no artifact" else directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        if BROKEN == "harness cannot sweep":
            raise UnavailableError("nobody is there")


def _key_error(driver: Any, world: Any) -> None:
    driver.artifacts.get = lambda ref: world.artifacts[str(ref)][0]


def _refused_by_server(driver: Any, world: Any) -> None:
    def get(name: str, *, reveal: bool) -> Any:
        raise InvalidRequestError("there is no such path", status=400)

    driver.secrets.get = get


def _silent_delete(driver: Any, world: Any) -> None:
    driver.secrets.delete = lambda name: world.secrets.pop(name, None)


def _short_listing(driver: Any, world: Any) -> None:
    real = driver.secrets.list

    def first_page_only(*, page_token: str | None) -> Any:
        import msgspec

        return msgspec.structs.replace(real(page_token=page_token), next_token=None)

    driver.secrets.list = first_page_only


def _talks(driver: Any, world: Any) -> None:
    import logging

    real = driver.secrets.put

    def put(name: str, values: Any, *, description: str | None) -> Any:
        logging.getLogger("dock").debug("put %s", {k: v.reveal() for k, v in values.items()})
        return real(name, values, description=description)

    driver.secrets.put = put


def _damages(driver: Any, world: Any) -> None:
    real = driver.artifacts.pull

    def pull(artifact: Any, into: Path, *, progress: Any) -> None:
        real(artifact, into, progress=progress)
        for path in into.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-1])

    driver.artifacts.pull = pull


def _forgets_labels(driver: Any, world: Any) -> None:
    import msgspec

    real = driver.artifacts.push
    driver.artifacts.push = lambda push: real(msgspec.structs.replace(push, labels={}))


BREAKAGES = {
    "raises KeyError for what is absent": _key_error,
    "asks for a path that its server has not": _refused_by_server,
    "deletes what is absent without a word": _silent_delete,
    "lists the first page only": _short_listing,
    "logs what it is told to keep": _talks,
    "loses the last byte": _damages,
    "forgets labels": _forgets_labels,
}
