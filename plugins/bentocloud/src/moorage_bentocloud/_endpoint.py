"""Calling what is deployed, at its own address."""

from urllib.parse import urlsplit

from moorage.errors import ConfigError, ConflictError, TimedOutError, UnavailableError
from moorage.plugin import CallRequest, Reply, SecretValue
from moorage.plugin.transport import RequestOptions, SignedUrl

from ._connection import Connection
from ._wire_deployments import Deployment

_KNOWN_HOSTS = ("bentoml.ai", "bentoml.com")
_SERVING = frozenset({"running", "scaled-to-zero", "unhealthy", "deploying", "image-building"})
_ANY_STATUS = range(200, 600)
_AUTHORIZATION = "authorization"


class Endpoint:
    """Sends requests to deployments.

    A deployment is somebody's program. The API's token goes to it only where the deployment asks
    for one and its host is one of the cloud's, or one that the profile names.

    Args:
        connection: The API's.
        token: The API's.
        endpoint_token: What deployments get instead; `None` gives them the API's.
        hosts: Further hosts that a token may be sent to.
    """

    def __init__(
        self,
        connection: Connection,
        token: SecretValue,
        endpoint_token: SecretValue | None,
        hosts: tuple[str, ...],
    ) -> None:
        self._connection = connection
        self._token = endpoint_token or token
        own = urlsplit(connection.endpoint).hostname or ""
        self._hosts = (*_KNOWN_HOSTS, *hosts, own)
        connection.redactor.add(self._token)

    def call(self, deployment: Deployment, request: CallRequest) -> Reply:
        """Send one request, once, and return what the app answers.

        Raises:
            ConflictError: The deployment does not serve.
            ConfigError: It asks for a token, and its host is not known.
            TimedOutError: No whole answer came in time.
            UnavailableError: It cannot be reached.
        """
        url = self.url_of(deployment)
        headers = list(request.headers)
        if not any(name.lower() == _AUTHORIZATION for name, _ in headers):
            headers += self._proof(deployment, url)
        options: RequestOptions = {
            "headers": dict(headers),
            "success": _ANY_STATUS,
            "repeatable": False,
            "timeout": request.timeout,
        }
        if request.body is not None:
            options["data"] = request.body
        what = f"deployment {deployment.name!r}"
        try:
            # It takes no header of the API's along, as a presigned URL does not.
            response = self._connection.http.send(
                request.method, SignedUrl(f"{url}{request.path}"), returns=bytes, **options
            )
        except TimedOutError as exc:
            raise TimedOutError(
                f"{what} did not answer within {request.timeout:g} s",
                hint="give the call a longer timeout, or look at the deployment's log",
                retry=exc.retry,
            ) from exc
        except UnavailableError as exc:
            raise UnavailableError(
                f"{what} cannot be reached: {exc.message}",
                hint="look at its state and its log",
                retry=exc.retry,
            ) from exc
        return Reply(
            status=response.status,
            headers=tuple(
                (name.lower(), value)
                for name, value in response.headers.items()
                if name.lower() != "content-encoding"  # it is unpacked
            ),
            content=response.content or b"",
        )

    def url_of(self, deployment: Deployment) -> str:
        """Return where a deployment is called, without a slash at the end.

        Raises:
            ConflictError: Nowhere: it does not serve.
        """
        if deployment.status not in _SERVING or not deployment.urls:
            raise ConflictError(
                f"deployment {deployment.name!r} does not serve: it is {deployment.status}",
                hint="start it, or wait until it is ready",
            )
        return deployment.urls[0].rstrip("/")

    def _proof(self, deployment: Deployment, url: str) -> list[tuple[str, str]]:
        target = deployment.main_target
        if target is None or target.config is None or not target.config.access_authorization:
            return []
        host = (urlsplit(url).hostname or "").lower()
        if not any(host == known or host.endswith(f".{known}") for known in self._hosts if known):
            raise ConfigError(
                f"deployment {deployment.name!r} asks for a token, and {host} is not known to be"
                " the cloud's",
                hint="add the host to the profile's endpoint_hosts if it may get the token",
            )
        return [("Authorization", f"Bearer {self._token.reveal()}")]
