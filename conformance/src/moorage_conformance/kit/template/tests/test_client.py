"""The client, over a socket: what it repeats, what it does not, and what it never shows."""

from collections.abc import Callable
from pathlib import Path

import moorage
import pytest
from moorage.errors import (
    AuthenticationError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnavailableError,
)
from moorage.plugin import JobSpec
from moorage_conformance.faults import Answer, FaultProxy, Reset

from moorage_nimbus import Client
from moorage_nimbus._wire import NewSecret, from_job_spec
from moorage_nimbus.fake import FakeCloud

Connect = Callable[..., Client]
Proxies = Callable[..., FaultProxy]

SECRET = NewSecret(values={"KEY": "some-value"})


def test_reads_are_repeated(fake: FakeCloud, connect: Connect, fault_proxy: Proxies) -> None:
    """A read that meets an overloaded server is made again."""
    proxy = fault_proxy(fake.url)
    proxy.script(Answer(status=503, retry_after=0, times=2))

    assert connect(endpoint=proxy.url).list_secrets().items == ()
    assert proxy.counts.requests == 3


def test_harmless_writes_are_repeated(
    fake: FakeCloud, connect: Connect, fault_proxy: Proxies
) -> None:
    """A write that may be made twice is made again after its reply was lost."""
    proxy = fault_proxy(fake.url)
    proxy.script(Reset(when="reply", method="PUT"))
    made = connect(endpoint=proxy.url).put_secret("db", SECRET)

    assert made.keys == ("KEY",)
    assert proxy.counts.requests_forwarded == 2


def test_other_writes_are_not(fake: FakeCloud, connect: Connect, fault_proxy: Proxies) -> None:
    """A deletion is sent once; when its reply is lost, the error says that nobody knows."""
    proxy = fault_proxy(fake.url)
    client = connect(endpoint=proxy.url)
    client.put_secret("db", SECRET)
    proxy.script(Reset(when="reply", method="DELETE"))
    with pytest.raises(UnavailableError) as caught:
        client.delete_secret("db")

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    with pytest.raises(NotFoundError):
        client.get_secret("db")


def test_one_job_for_one_key(
    fake: FakeCloud, connect: Connect, cloud: moorage.Cloud, app: Path, fault_proxy: Proxies
) -> None:
    """A job whose reply was lost is submitted again under its key, and runs once."""
    artifact = cloud.artifacts.push(app)
    proxy = fault_proxy(fake.url)
    proxy.script(Reset(when="reply", method="POST"))
    client = connect(endpoint=proxy.url)
    spec = JobSpec(entrypoint="double", input=1, submission="key-1")
    job = client.create_job(from_job_spec(spec, str(artifact.ref)))

    assert [found.id for found in client.list_jobs().items] == [job.id]
    assert proxy.counts.requests_forwarded == 3


def test_refusals_name_the_request(client: Client) -> None:
    """An error says what the API said, and by which name its support finds the request."""
    with pytest.raises(NotFoundError) as caught:
        client.get_artifact("ghost", "1")

    assert caught.value.request_id is not None
    assert "ghost:1" in caught.value.message


def test_mistakes_in_the_fake_are_seen(
    fake: FakeCloud, client: Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake that fails says where, instead of hanging up."""
    monkeypatch.setattr(fake.project(project), "secrets", lambda: [{"no name": 1}])
    with pytest.raises(UnavailableError, match=r"KeyError: 'name' \(_routes.py:\d+ of the fake\)"):
        client.list_secrets()


def test_wrong_token(connect: Connect) -> None:
    """A token that is wrong is refused as such, and shown nowhere."""
    client = connect(token="wrong-0123456789")
    with pytest.raises(AuthenticationError) as caught:
        client.list_secrets()

    assert "wrong-0123456789" not in f"{caught.value!r} {client!r} {vars(caught.value)}"


def test_unknown_setting() -> None:
    """A keyword that is no setting is refused by name."""
    with pytest.raises(InvalidRequestError, match="did you mean 'project'"):
        Client(token="token-0123456789", projct="x")


def test_closed(client: Client) -> None:
    """A client that is closed says so, and can be closed again."""
    client.close()
    client.close()

    with pytest.raises(MoorageError):
        client.list_secrets()
