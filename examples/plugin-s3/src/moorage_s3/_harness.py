"""What the conformance suite needs to test the S3 provider: moto's server on the loopback."""

import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config

from moorage.plugin import ArtifactKind, ArtifactPush, SecretValue, SystemClock, open_source

from ._artifacts import Artifacts
from ._client import CONFIG, Client, session

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_BUCKET = "conformance"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
_SETUP_CALLS = 3
"""How many calls the server takes from anybody; then it asks for credentials, and checks them."""


class S3Harness:
    """A server and a bucket of its own, which nothing but the suite uses."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:  # noqa: ARG002  # the server keeps nothing on the disk
        """Start the server, give it a user and a bucket, and stop it at the end."""
        if target == "live":
            yield
            return
        with serving() as url:
            self._settings = {"endpoint": url, "bucket": _BUCKET, **_new_user(url)}
            client = Client(**self._settings)
            try:
                client.boto3.create_bucket(Bucket=_BUCKET)
            finally:
                client.close()
            yield

    def settings(self) -> Mapping[str, Any]:
        """Return where the bucket is and the key of its user."""
        return self._settings

    def bad_credentials(self) -> Mapping[str, Any]:
        """Return the user's key id with a key that is not the user's."""
        return {**self._settings, "secret_access_key": SecretValue("not-the-key-of-this-user")}

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        return f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Store an artifact through another client of the same bucket."""
        if resource != "artifact":
            return None
        client: Client = cloud.native
        push = ArtifactPush(source=open_source(__file__), name=name, kind=ArtifactKind.DATA)
        return str(Artifacts(client, SystemClock()).push(push).ref)

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the app as it is; it is stored, and nothing runs it."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Remove what pushes that did not come to their end have left."""
        client: Client = cloud.native
        for prefix in ("order", "content"):
            for key in client.keys(f"{prefix}/mc-{run_id}-"):
                client.delete(key)


@contextmanager
def serving() -> Iterator[str]:
    """Run moto's server as a process of its own and give its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETUP_CALLS)},
    )
    assert server.stderr is not None  # it was asked for
    reader: threading.Thread | None = None
    try:
        address = None
        for line in server.stderr:
            if (address := _ADDRESS.search(line)) is not None:
                break
        if address is None:
            msg = (
                f"moto's server ended at once with {server.wait()}; install moorage-s3[conformance]"
            )
            raise RuntimeError(msg)
        # It writes a line for each request, and would stand still if nobody read them.
        reader = threading.Thread(target=deque, args=(server.stderr, 0), daemon=True)
        reader.start()
        yield address.group()
    finally:
        server.terminate()
        server.wait()
        if reader is not None:
            reader.join()
        server.stderr.close()


def _new_user(url: str) -> dict[str, Any]:
    """Make a user who may use S3, and return the key that signs in."""
    iam = session().client(
        "iam",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nobody",
        config=Config(**CONFIG),
    )
    try:
        iam.create_user(UserName="suite")
        key = iam.create_access_key(UserName="suite")["AccessKey"]
        iam.put_user_policy(UserName="suite", PolicyName="s3", PolicyDocument=json.dumps(_POLICY))
    finally:
        iam.close()
    return {
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": SecretValue(key["SecretAccessKey"]),
    }
