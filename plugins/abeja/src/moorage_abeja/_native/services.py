"""Services: running instances of a code version, and requests to them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from moorage.errors import InvalidRequestError
from moorage.plugin.transport import Data, HttpClient

from .._wire import LogEvent, LogEvents, Message, RecentLogEvents, Service, Services
from .noun import DEPLOYMENT, Noun, given, moment, recent_query
from .paging import forward
from .service_host import ServiceHosts

_SERVICES = f"{DEPLOYMENT}/services"
_SERVICE = f"{_SERVICES}/{{service_id}}"

_ANY_STATUS = range(200, 600)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class ServiceReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a service answered."""

    status: int
    """HTTP status."""

    headers: tuple[tuple[str, str], ...] = ()
    """In order, names in lower case."""

    content: bytes = b""
    """The body."""

    @property
    def content_type(self) -> str | None:
        """What the body is."""
        return next((value for name, value in self.headers if name == "content-type"), None)

    def json(self) -> Any:
        """Return the body's JSON value."""
        return msgspec.json.decode(self.content)


class ServicesApi(Noun):
    """The services of an organization's deployments."""

    def __init__(self, http: HttpClient, organization_id: str, hosts: ServiceHosts) -> None:
        super().__init__(http, organization_id)
        self._hosts = hosts

    def create_service(
        self,
        deployment_id: str,
        version_id: str,
        instance_number: int | None = 1,
        *,
        min_instance_number: int | None = None,
        max_instance_number: int | None = None,
        enable_autoscale: bool | None = None,
        instance_type: str | None = "cpu-0.25",
        environment: Mapping[str, str] | None = None,
        model_id: str | None = None,
        record_channel_id: str | None = None,
        organization_id: str | None = None,
    ) -> Service:
        """Start a service and return it without waiting for it.

        Args:
            deployment_id: Whose code.
            version_id: Which version of it.
            instance_number: How many run, 1 to 64.
            min_instance_number: Fewest that run; by default `instance_number`.
            max_instance_number: Most that run; by default twice `instance_number`.
            enable_autoscale: Whether the platform chooses the number; by default it does.
            instance_type: The machine, `"cpu-1"` for example.
            environment: Environment variables.
            model_id: A training model for the handler.
            record_channel_id: A channel that requests and replies are recorded in.
            organization_id: By default the client's.
        """
        body = {
            "instance_type": instance_type,
            "instance_number": instance_number,
            "version_id": version_id,
            **given(
                min_instance_number=min_instance_number,
                max_instance_number=max_instance_number,
                enable_autoscale=enable_autoscale,
                environment=None if environment is None else dict(environment),
                models=None if model_id is None else {"alias": model_id},
                record_channel_id=record_channel_id,
            ),
        }
        ids = {"deployment_id": deployment_id}
        return self._call("POST", _SERVICES, Service, organization_id, ids, json=body)

    def get_service(
        self, deployment_id: str, service_id: str, *, organization_id: str | None = None
    ) -> Service:
        """Return one service."""
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        return self._call("GET", _SERVICE, Service, organization_id, ids)

    def get_services(self, deployment_id: str, *, organization_id: str | None = None) -> Services:
        """Return all services of a deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("GET", _SERVICES, Services, organization_id, ids)

    def update_service(
        self,
        deployment_id: str,
        service_id: str,
        payload: Mapping[str, Any] | None = None,
        *,
        organization_id: str | None = None,
    ) -> Service:
        """Change how many instances a service has, and return it.

        Args:
            deployment_id: Whose.
            service_id: Which.
            payload: `instance_number`, `min_instance_number`, `max_instance_number` and
                `enable_autoscale` are what the platform documents.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        body = {} if payload is None else {"json": dict(payload)}
        return self._call("PATCH", _SERVICE, Service, organization_id, ids, **body)

    def delete_service(
        self, deployment_id: str, service_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a service."""
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        return self._call("DELETE", _SERVICE, Message, organization_id, ids)

    def start_service(
        self, deployment_id: str, service_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Start a stopped service; one that runs is refused."""
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        return self._call("POST", f"{_SERVICE}/start", Message, organization_id, ids)

    def stop_service(
        self, deployment_id: str, service_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Stop a service; one that is stopped is refused."""
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        return self._call("POST", f"{_SERVICE}/stop", Message, organization_id, ids)

    def get_service_recent_logs(
        self,
        deployment_id: str,
        service_id: str,
        *,
        next_forward_token: str | None = None,
        next_backward_token: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> RecentLogEvents:
        """Return a page of a service's log, newest first.

        Args:
            deployment_id: Whose service.
            service_id: Which.
            next_forward_token: From another page, for what is newer.
            next_backward_token: From another page, for what is older.
            start_time: Not older than this.
            end_time: Not newer than this.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        query = recent_query(next_forward_token, next_backward_token, start_time, end_time)
        return self._call(
            "GET", f"{_SERVICE}/recentlogs", RecentLogEvents, organization_id, ids, query=query
        )

    def get_service_logs(
        self,
        deployment_id: str,
        service_id: str,
        *,
        next_token: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> LogEvents:
        """Return a page of a service's log, oldest first.

        Args:
            deployment_id: Whose service.
            service_id: Which.
            next_token: From the page before; the last page has none.
            start_time: Not older than this.
            end_time: Not newer than this.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "service_id": service_id}
        query = {
            "next_token": next_token or None,
            "start_time": moment(start_time),
            "end_time": moment(end_time, up=True),
        }
        return self._call("GET", f"{_SERVICE}/logs", LogEvents, organization_id, ids, query=query)

    def iter_service_logs(
        self,
        deployment_id: str,
        service_id: str,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> Iterator[LogEvent]:
        """Yield a service's log as it is now, oldest first, fetched as it is asked for."""

        def fetch(token: str | None) -> LogEvents:
            return self.get_service_logs(
                deployment_id,
                service_id,
                next_token=token,
                start_time=start_time,
                end_time=end_time,
                organization_id=organization_id,
            )

        return forward(fetch)

    def request_service(
        self,
        deployment_id: str,
        service_id: str,
        data: Data | str | None = None,
        json: Any = UNSET,
        content_type: str | None = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float | None = None,
        organization_id: str | None = None,
    ) -> ServiceReply:
        """Send one request to a service and return what its handler answers.

        It is sent once, on the organization's own host.

        Args:
            deployment_id: Whose service.
            service_id: Which.
            data: A body: bytes, text, an open binary file, a path, or pieces.
            json: A body: any JSON value, `None` among them; exclusive with `data`.
            content_type: Of the body; by default JSON for `json` and bytes for `data`.
            method: The handler is given GET, POST and PUT.
            headers: More headers.
            query: What follows the question mark.
            check: Whether a status of 400 and more is an error; else it is part of the reply.
            timeout: Seconds for the whole call; by default the client's.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The request cannot be sent.
            MoorageError: The service cannot be reached, or says that something is wrong.
        """
        return self._request(
            "/deployments/{deployment_id}/services/{service_id}",
            {"deployment_id": deployment_id, "service_id": service_id},
            data=data,
            json=json,
            content_type=content_type,
            method=method,
            headers=headers,
            query=query,
            check=check,
            timeout=timeout,
            organization_id=organization_id,
        )

    def request_endpoint(
        self,
        deployment_id: str,
        custom_alias: str = "default",
        data: Data | str | None = None,
        json: Any = UNSET,
        content_type: str | None = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float | None = None,
        organization_id: str | None = None,
    ) -> ServiceReply:
        """Send one request to the service that an endpoint leads to; else as `request_service`.

        Args:
            deployment_id: Whose endpoint.
            custom_alias: Its name.
            data: As for `request_service`; so are the other arguments.
            json: A JSON body.
            content_type: Of the body.
            method: GET, POST or PUT.
            headers: More headers.
            query: What follows the question mark.
            check: Whether a status of 400 and more is an error.
            timeout: Seconds for the whole call.
            organization_id: By default the client's.
        """
        template, ids = "/deployments/{deployment_id}", {"deployment_id": deployment_id}
        if custom_alias != "default":
            # Known from programs that do so, and from no documentation.
            template += "/{custom_alias}"
            ids["custom_alias"] = custom_alias
        return self._request(
            template,
            ids,
            data=data,
            json=json,
            content_type=content_type,
            method=method,
            headers=headers,
            query=query,
            check=check,
            timeout=timeout,
            organization_id=organization_id,
        )

    def _request(
        self,
        template: str,
        ids: Mapping[str, str],
        *,
        data: Data | str | None,
        json: Any,
        content_type: str | None,
        method: str,
        headers: Mapping[str, str] | None,
        query: Mapping[str, str] | None,
        check: bool,
        timeout: float | None,
        organization_id: str | None,
    ) -> ServiceReply:
        if method not in _METHODS:
            raise InvalidRequestError(
                f"{method!r} is not a method that can be sent", fields={"method": "unknown"}
            )
        options: dict[str, Any] = {}
        if json is not UNSET:
            options["json"] = json
        if data is not None:
            options["data"] = data.encode() if isinstance(data, str) else data
            content_type = content_type or "application/octet-stream"
        if content_type is not None:
            options["content_type"] = content_type
        if headers:
            options["headers"] = headers
        if query:
            options["query"] = query
        if timeout is not None:
            options["timeout"] = timeout
        if not check:
            options["success"] = _ANY_STATUS
        wanted = self._organization_id if organization_id is None else organization_id
        http = self._hosts.client(str(wanted))
        reply = http.send(
            method, template, ids, returns=bytes, empty=b"", repeatable=False, **options
        )
        return ServiceReply(
            status=reply.status,
            headers=tuple((name.lower(), value) for name, value in reply.headers.items()),
            content=reply.content,
        )
