"""One bucket, through boto3: the few calls that the driver needs, and boto3's own client."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from moorage.errors import AlreadyExistsError, InvalidRequestError
from moorage.plugin import SecretValue

from ._errors import translated
from ._settings import S3Settings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ATTEMPTS = 4
"""How often a request is made before it counts as failed; every one can be repeated."""

CONFIG: Mapping[str, Any] = {
    "retries": {"total_max_attempts": ATTEMPTS, "mode": "standard"},
    "ignore_configured_endpoint_urls": True,
    # The newer checksums are more than many servers understand; content has its own.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})

# What boto3 would read from variables and files of its own. A profile that names a bucket and a
# key must not be talked into another account by them.
_NOTHING_ELSE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "data_path": (None, None, None, None),
    "ca_bundle": (None, None, None, None),
}


def new_session() -> boto3.session.Session:
    """Return a session of boto3 that knows only what it is told."""
    return boto3.session.Session(
        botocore_session=botocore.session.Session(session_vars=_NOTHING_ELSE)
    )


class Client:
    """One bucket of one server.

    Keys are given without the prefix of the settings. Errors are those of `moorage.errors`.

    Attributes:
        where: What all keys begin with, written as `s3://BUCKET/PREFIX`.
    """

    def __init__(
        self,
        *,
        bucket: str,
        access_key_id: str,
        secret_access_key: SecretValue,
        session_token: SecretValue | None = None,
        endpoint: str | None = None,
        region: str = "us-east-1",
        prefix: str = "moorage/",
        path_style: bool = True,
        ca_bundle: Path | None = None,
        timeout: float = 60.0,
        user_agent: str = "moorage-s3",
    ) -> None:
        """Describe the bucket; the keywords are those of a profile. Nothing is sent."""
        self.where = f"s3://{bucket}/{prefix}"
        self._bucket = bucket
        self._prefix = prefix
        self._session_token = session_token
        self._keys = (access_key_id, secret_access_key)
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": region,
            "verify": str(ca_bundle) if ca_bundle else None,
            "config": Config(
                **CONFIG,
                user_agent_extra=user_agent,
                connect_timeout=timeout,
                read_timeout=timeout,
                s3={"addressing_style": "path" if path_style else "virtual"},
            ),
        }
        self._lock = threading.Lock()
        self._opened: tuple[int, S3Client] | None = None
        self._closed = False

    @classmethod
    def of(cls, settings: S3Settings, user_agent: str) -> Self:
        """Describe the bucket of a profile."""
        fields = {name: getattr(settings, name) for name in S3Settings.__struct_fields__}
        return cls(**fields, user_agent=user_agent)

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
        key, secret = self._keys
        token = self._session_token
        with translated(f"connect to {self.where}"):
            opened: S3Client = new_session().client(
                "s3",
                aws_access_key_id=key,
                aws_secret_access_key=secret.reveal(),
                aws_session_token=token.reveal() if token else None,
                **self._options,
            )
        return opened

    def place(self, key: str) -> Any:
        """Return the bucket and the whole key, as boto3's calls want them."""
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def get(self, key: str) -> bytes:
        """Return a small object.

        Raises:
            NotFoundError: There is none.
        """
        with (
            translated(f"read {self.where}{key}"),
            closing(self.boto3.get_object(**self.place(key))["Body"]) as body,
        ):
            content: bytes = body.read()
            return content

    def put(self, key: str, content: bytes) -> None:
        """Store a small object in place of what is there."""
        with translated(f"write {self.where}{key}"):
            self.boto3.put_object(**self.place(key), Body=content)

    def create(self, key: str, content: bytes) -> None:
        """Store a small object where there is none.

        A request whose reply was lost is repeated, so that what is there may be one's own.

        Raises:
            AlreadyExistsError: There is one.
        """
        with translated(f"write {self.where}{key}"):
            try:
                self.boto3.put_object(**self.place(key), Body=content, IfNoneMatch="*")
            except ClientError as exc:
                if exc.response.get("Error", {}).get("Code") in _TAKEN:
                    raise AlreadyExistsError(f"there is something at {self.where}{key}") from exc
                raise

    def delete(self, key: str) -> None:
        """Delete an object; it is no error that there is none, because the server does not tell."""
        with translated(f"delete {self.where}{key}"):
            self.boto3.delete_object(**self.place(key))

    def keys(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[str]:
        """Yield keys in the order of their bytes, fetched as they are asked for.

        Args:
            prefix: What they begin with.
            after: Only those after this one.
            limit: About how many will be read.
        """
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if after:
            arguments["StartAfter"] = self._prefix + after
        if limit:
            arguments["MaxKeys"] = min(limit, 1000)
        while True:
            with translated(f"list {self.where}{prefix}"):
                page: Mapping[str, Any] = self.boto3.list_objects_v2(**arguments)
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self._prefix)
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def close(self) -> None:
        """Release every socket; may be called twice."""
        with self._lock:
            self._closed = True
            opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()
