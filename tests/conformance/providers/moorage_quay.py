"""A stranger's provider over HTTP and WebSocket, whose fake runs in the process of the suite.

`QUAY_BROKEN` names what is wrong with it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from moorage.plugin import (
    Capabilities,
    OpenContext,
    ProviderInfo,
    SecretValue,
    Support,
    SupportLevel,
    hookimpl,
    setting,
)
from moorage.plugin.transport import HttpSettings

BROKEN = os.environ.get("QUAY_BROKEN", "")

LACKING = {
    "artifacts.kind.model": "there are only apps and data",
    "deployments.autoscaling": "a quay does not grow",
    "deployments.cancel": "what was begun is ended",
    "deployments.instance_type": "all berths are the same",
    "deployments.options": "it has no options of its own",
    "deployments.promote": "it has no stages",
    "jobs.instance_type": "all cranes are the same",
    "jobs.submit.deployment": "jobs run artifacts here",
}
KEPT = {
    name: Support(SupportLevel.UNSUPPORTED, LACKING[name])
    if name in LACKING
    else Support(SupportLevel.FULL)
    for name in Capabilities("quay", {})
}


class QuaySettings(HttpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it is and who may use it."""

    endpoint: Annotated[str, setting("Its address.", destination=True)]
    token: Annotated[SecretValue, setting("Proves who calls.")]


@hookimpl
def moorage_provider() -> ProviderInfo:
    return ProviderInfo(
        name="quay",
        summary="Everything over HTTP",
        open=_open,
        settings=QuaySettings,
        capabilities=KEPT,
    )


def _open(settings: QuaySettings, context: OpenContext) -> Any:
    from quay_driver import QuayDriver

    driver = QuayDriver(settings, context)
    if BROKEN:
        BREAKAGES[BROKEN](driver)
    return driver


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    return QuayHarness() if provider == "quay" else None


class QuayHarness:
    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        from quay_server import Quay

        with Quay() as self.quay:
            yield

    def settings(self) -> Mapping[str, Any]:
        from quay_server import TOKEN

        return {"endpoint": self.quay.url, "token": SecretValue(TOKEN), "read_timeout": 5.0}

    def bad_credentials(self) -> Mapping[str, Any]:
        return {"endpoint": self.quay.url, "token": SecretValue("quay-token-of-a-stranger")}

    def missing_id(self, resource: str) -> str:
        return f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        if resource == "secret":
            cloud.native.call("PUT", "/secrets/{name}", {"name": name}, json={"SEEDED": "seeded"})
            return name
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        return None


def _forgets_values(driver: Any) -> None:
    real = driver.secrets.put

    def put(name: str, values: Any, *, description: str | None) -> Any:
        return real(name, dict(list(values.items())[:1]), description=description)

    driver.secrets.put = put


def _asks_first(driver: Any) -> None:
    driver.native.call("GET", "/secrets", returns=bytes)


def _posts_again(driver: Any) -> None:
    from moorage.plugin import Job

    driver.jobs.submit = lambda spec: driver.native.call(
        "POST", "/jobs", json=spec, repeatable=True, returns=Job
    )


def _stays_connected(driver: Any) -> None:
    driver.close = lambda: None


def _skips_records(driver: Any) -> None:
    real = driver.logs.follow
    driver.logs.follow = lambda target, cursor: real(target, cursor and str(int(cursor) + 1))


def _keeps_records(driver: Any) -> None:
    real, kept = driver.logs.follow, []

    class Stream:
        finished = False

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __iter__(self) -> Any:
            for record in self.stream:
                kept.append(record)
                yield record
            self.finished = self.stream.finished

        def close(self) -> None:
            self.stream.close()

    driver.logs.follow = lambda *args: Stream(real(*args))


BREAKAGES = {
    "keeps every record that it read": _keeps_records,
    "posts again what may have arrived": _posts_again,
    "skips a record when it connects again": _skips_records,
    "stays connected when it is closed": _stays_connected,
    "keeps the first value only": _forgets_values,
    "asks while it connects": _asks_first,
}
