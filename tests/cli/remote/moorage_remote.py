"""A provider package that asks a server, as those of clouds do."""

from typing import Annotated, Any

import msgspec
from memory_provider import EVERYTHING, MemoryDriver, World

from moorage.plugin import (
    Deployment,
    DeploymentState,
    LogPage,
    LogQuery,
    LogRecord,
    LogTarget,
    OpenContext,
    Page,
    ProviderInfo,
    SecretValue,
    hookimpl,
    setting,
)
from moorage.plugin.transport import (
    HeaderAuth,
    HttpClient,
    HttpSettings,
    RetryPolicy,
    WebSocketClient,
    WebSocketLogStream,
)

LINES = 6


class RemoteSettings(HttpSettings, frozen=True, kw_only=True):
    """A profile of the remote cloud."""

    token: Annotated[SecretValue, setting("What the server asks for.")]
    endpoint: Annotated[str, setting("Where the server is.", destination=True)]


class WireLine(msgspec.Struct):
    number: int


def to_records(line: WireLine) -> list[LogRecord] | None:
    if line.number == LINES:
        return None
    return [LogRecord(message=f"line {line.number}", cursor=str(line.number))]


class _Remote:
    """Deployments over HTTP, logs over a WebSocket."""

    def __init__(self, settings: RemoteSettings, context: OpenContext) -> None:
        options = msgspec.structs.replace(settings.http_options(), retry=RetryPolicy(backoff_s=0))
        shared: dict[str, Any] = {
            "auth": HeaderAuth("Authorization", settings.token, scheme="Bearer"),
            "options": options,
            "user_agent": context.user_agent,
            "redactor": context.redactor,
        }
        self._http = HttpClient(settings.endpoint, **shared)
        self._websocket = WebSocketClient(settings.endpoint, **shared)

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        names = self._http.call(
            "GET", "/deployments", query={"page": page_token}, returns=tuple[str, ...]
        )
        items = tuple(Deployment(id=name, name=name, state=DeploymentState.READY) for name in names)
        return Page(items=items)

    def fetch(self, _target: LogTarget, _query: LogQuery, /) -> LogPage:
        return LogPage()

    def follow(self, _target: LogTarget, cursor: str | None, /) -> WebSocketLogStream[WireLine]:
        start = 0 if cursor is None else int(cursor) + 1
        query = {"start": start, "count": LINES + 1 - start}
        socket = self._websocket.connect("/websocket/stream", query=query)
        return WebSocketLogStream(socket, WireLine, to_records)

    def close(self) -> None:
        self._http.close()
        self._websocket.close()


@hookimpl
def moorage_provider() -> ProviderInfo:
    return ProviderInfo(
        name="remote",
        summary="A cloud behind a wire",
        open=_open,
        settings=RemoteSettings,
        capabilities=EVERYTHING,
    )


def _open(settings: RemoteSettings, context: OpenContext) -> Any:
    remote = _Remote(settings, context)
    driver: Any = MemoryDriver(World())
    driver.deployments = driver.logs = remote
    driver.close = remote.close
    return driver
