"""One bucket, through boto3: the few calls that the driver needs, and boto3's own client."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from moorage.errors import AlreadyExistsError, ConfigError, DecodeError, InvalidRequestError
from moorage.plugin import OpenContext, SecretValue, SystemClock

from ._errors import translated
from ._repeat import Repeater
from ._settings import S3Settings
from ._whole import check_whole

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

T = TypeVar("T")

CONFIG: Mapping[str, Any] = {
    "retries": {"total_max_attempts": 1},  # see _repeat.py
    "ignore_configured_endpoint_urls": True,
    # The newer checksums are more than many servers understand; content has its own.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

# What boto3 would read from variables and files of its own. A profile that names a bucket and a
# key must not be talked into another account by them.
_NOTHING_ELSE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "data_path": (None, None, None, None),
    "ca_bundle": (None, None, None, None),
}


# A session may be used by one thread at a time; its clients by any number.
_MAKING = threading.Lock()


@cache
def session() -> boto3.session.Session:
    """Return a session of boto3 that knows only what it is told.

    It holds nothing of anybody, and reads megabytes that describe services once.
    """
    return boto3.session.Session(
        botocore_session=botocore.session.Session(session_vars=_NOTHING_ELSE)
    )


class Client:
    """One bucket of one server.

    Keys are given without the prefix of the settings. Errors are those of `moorage.errors`.

    Args:
        context: What the portable layer brings; `None` where the client stands alone.
        settings: The keys of a profile. Nothing is sent.

    Attributes:
        where: What all keys begin with, written as `s3://BUCKET/PREFIX`.
        repeater: Makes requests until they succeed.

    Raises:
        ConfigError: A setting is missing or cannot be used.
    """

    def __init__(self, context: OpenContext | None = None, /, **settings: Any) -> None:
        known = _checked(settings)
        self.where = f"s3://{known.bucket}/{known.prefix}"
        self.repeater = Repeater(
            known.http_options().retry, known.timeout, context.clock if context else SystemClock()
        )
        self._settings = known
        self._user_agent = context.user_agent if context else "moorage-s3"
        self._lock = threading.Lock()
        self._opened: tuple[int, S3Client] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Client of {self.where}>"

    def __reduce__(self) -> Any:
        msg = "a client holds connections and is not pickled"
        raise TypeError(msg)

    @property
    def boto3(self) -> "S3Client":
        """The official client, for all that this one has no call for; made when first asked for.

        Raises:
            InvalidRequestError: This client is closed.
        """
        with self._lock:
            if self._closed:
                raise InvalidRequestError(f"the connection to {self.where} is closed")
            # A forked process must not share the parent's sockets.
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), self._open())
            return self._opened[1]

    def _open(self) -> "S3Client":
        known = self._settings
        token, proxy = known.session_token, known.proxy
        certificate: str | tuple[str, str] | None = None
        if known.client_certificate:
            certificate = str(known.client_certificate)
            if known.client_key:
                certificate = (certificate, str(known.client_key))
        with translated(f"connect to {self.where}"), _MAKING:
            opened: S3Client = session().client(
                "s3",
                endpoint_url=known.endpoint,
                region_name=known.region,
                verify=str(known.ca_bundle) if known.ca_bundle else None,
                aws_access_key_id=known.access_key_id,
                aws_secret_access_key=known.secret_access_key.reveal(),
                aws_session_token=token.reveal() if token else None,
                config=Config(
                    **CONFIG,
                    user_agent_extra=self._user_agent,
                    connect_timeout=known.connect_timeout,
                    read_timeout=known.read_timeout,
                    client_cert=certificate,
                    proxies=dict.fromkeys(("http", "https"), proxy.reveal()) if proxy else None,
                    s3={"addressing_style": "path" if known.path_style else "virtual"},
                ),
            )
            check_whole(opened)
        return opened

    def place(self, key: str) -> Any:
        """Return the bucket and the whole key, as boto3's calls want them."""
        return {"Bucket": self._settings.bucket, "Key": self._settings.prefix + key}

    def ask(self, doing: str, request: "Callable[[S3Client], T]", *, repeatable: bool = True) -> T:
        """Return what a request through boto3 gives, made again where it fails for a moment.

        Args:
            doing: What fails, as it reads after "cannot".
            request: Makes it.
            repeatable: Whether a second one is harmless.
        """
        return self.repeater.run(doing, lambda: request(self.boto3), repeatable=repeatable)

    def get(self, key: str) -> bytes:
        """Return a small object.

        Raises:
            NotFoundError: There is none.
        """

        def read(s3: "S3Client") -> bytes:
            with closing(s3.get_object(**self.place(key))["Body"]) as body:
                content: bytes = body.read()
                return content

        return self.ask(f"read {self.where}{key}", read)

    def put(self, key: str, content: bytes) -> None:
        """Store a small object in place of what is there."""
        self.ask(
            f"write {self.where}{key}",
            lambda s3: s3.put_object(**self.place(key), Body=content),
        )

    def create(self, key: str, content: bytes) -> None:
        """Store a small object where there is none.

        A request whose reply was lost is repeated, so that what is there may be one's own.

        Raises:
            AlreadyExistsError: There is one.
        """

        def write(s3: "S3Client") -> None:
            try:
                s3.put_object(**self.place(key), Body=content, IfNoneMatch="*")
            except ClientError as exc:
                if exc.response.get("Error", {}).get("Code") in _TAKEN:
                    raise AlreadyExistsError(f"there is something at {self.where}{key}") from exc
                raise

        self.ask(f"write {self.where}{key}", write)

    def delete(self, key: str) -> None:
        """Delete an object; it is no error that there is none, because the server does not tell."""
        self.ask(f"delete {self.where}{key}", lambda s3: s3.delete_object(**self.place(key)))

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield keys in the order of their bytes, fetched as they are asked for.

        Args:
            prefix: What they begin with.
            after: Only those after this one.
        """
        whole = self._settings.prefix
        arguments: Any = {"Bucket": self._settings.bucket, "Prefix": whole + prefix}
        if after:
            arguments["StartAfter"] = whole + after
        while True:
            page: Mapping[str, Any] = self.ask(
                f"list {self.where}{prefix}", lambda s3: s3.list_objects_v2(**arguments)
            )
            if "IsTruncated" not in page:
                raise DecodeError(f"what the server says of {self.where}{prefix} is no list")
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(whole)
            if not page["IsTruncated"]:
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def close(self) -> None:
        """Release every socket; may be called twice."""
        with self._lock:
            self._closed = True
            opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()


def _checked(settings: dict[str, Any]) -> S3Settings:
    texts = ("secret_access_key", "session_token")
    wrapped: dict[str, Any] = {
        key: SecretValue(value) if key in texts and isinstance(value, str) else value
        for key, value in settings.items()
    }
    try:
        known = S3Settings(**wrapped)
    except TypeError as exc:
        raise ConfigError(str(exc), hint="the settings of a profile are the keywords") from exc
    parts = urlsplit(known.endpoint or "https://")
    if parts.scheme == "http" and parts.hostname not in _HERE and not known.allow_plain_http:
        raise ConfigError(
            f"{known.endpoint} would be spoken to without TLS",
            hint="write https://, or set allow_plain_http",
        )
    return known
