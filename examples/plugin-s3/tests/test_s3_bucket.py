"""What is in the bucket, who may see it, and which errors come of it."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import moorage
import moorage_s3
from moorage.errors import (
    AuthenticationError,
    ConfigError,
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import SecretValue
from moorage_conformance.faults import Answer, FaultProxy, FaultServer, Stall
from moorage_s3 import Client, _wire
from moorage_s3._wire import Place

Connect = Callable[..., moorage.Cloud]
Write = Callable[[bytes], Path]

SOURCES = sorted(Path(moorage_s3.__file__).parent.glob("*.py"))


def test_one_record_each(connect: Connect, client: Client, file: Write) -> None:
    """An artifact is a record, a place and a content; deleted, it is none of them."""
    cloud = connect()
    pushed = cloud.artifacts.push(file(b"x"), name="laid-out", kind="data", version="1.0+a")
    keys = [list(client.keys(f"{kind}/laid-out/")) for kind in ("artifacts", "order", "content")]
    cloud.artifacts.delete(pushed)

    assert list(map(len, keys)) == [1, 1, 1]
    assert keys[0] == ["artifacts/laid-out/1.0+a"]
    assert [key for key in client.keys("") if "/laid-out/" in key] == []


def test_unfinished_is_unseen(connect: Connect, client: Client, file: Write) -> None:
    """What a push that died has left is seen by no call, and the push can be made again."""
    cloud = connect()
    pushed = cloud.artifacts.push(file(b"x"), name="died", kind="data")
    client.delete(f"artifacts/died/{pushed.version}")

    assert list(cloud.artifacts.list("died")) == []
    with pytest.raises(NotFoundError):
        cloud.artifacts.get("died")
    again = cloud.artifacts.push(file(b"x"), name="died", kind="data")
    assert [a.id for a in cloud.artifacts.list("died")] == [again.id]


def test_slow_clock(connect: Connect, client: Client, file: Write) -> None:
    """A push from a machine whose clock is behind is still the latest of its name."""
    cloud = connect()
    first = cloud.artifacts.push(file(b"1"), name="clocks", kind="data")
    record = _wire.decode(client.get(f"artifacts/clocks/{first.version}"), first.ref)
    ahead = _wire.at(_wire.microseconds(record.created_at) + 3_600_000_000)
    client.delete(record.place.key)
    moved = _wire.Record(
        **{f: getattr(record, f) for f in record.__struct_fields__} | {"created_at": ahead}
    )
    client.put(moved.place.key, b"")
    client.put(f"artifacts/clocks/{first.version}", _wire.encode(moved))
    second = cloud.artifacts.push(file(b"2"), name="clocks", kind="data")

    assert cloud.artifacts.get("clocks").version == second.version
    assert [a.version for a in cloud.artifacts.list("clocks")] == [second.version, first.version]


def test_names_are_apart(connect: Connect, file: Write) -> None:
    """A name that begins like another has versions of its own."""
    cloud = connect()
    cloud.artifacts.push(file(b"1"), name="begins", kind="data")
    other = cloud.artifacts.push(file(b"2"), name="begins-like", kind="data")

    assert [a.name for a in cloud.artifacts.list("begins")] == ["begins"]
    assert cloud.artifacts.get("begins-like").id == other.id


def test_prefixes_are_apart(connect: Connect, file: Write) -> None:
    """Two prefixes of one bucket are two stores."""
    connect(prefix="one/").artifacts.push(file(b"1"), name="apart", kind="data")

    assert list(connect(prefix="two/").artifacts.list()) == []
    assert [a.name for a in connect(prefix="one/").artifacts.list()] == ["apart"]


def test_foreign_keys(connect: Connect, client: Client, file: Write) -> None:
    """What others keep beside the artifacts disturbs no listing."""
    client.put("order/foreign/readme.txt", b"hello")
    pushed = connect().artifacts.push(file(b"1"), name="foreign", kind="data")

    assert [a.id for a in connect().artifacts.list("foreign")] == [pushed.id]


@pytest.mark.parametrize("document", [b"not JSON", b"{}", b'{"format": 9}'])
def test_record_of_others(connect: Connect, client: Client, document: bytes) -> None:
    """A record that this version did not write is refused as such."""
    client.put("artifacts/others/1", document)

    with pytest.raises(IntegrityError, match="record of artifact others:1"):
        connect().artifacts.get("others:1")


@pytest.mark.parametrize("token", ["x", "1/2/3/4", "a/b", "/" * 5])
def test_page_tokens(token: str) -> None:
    """A page token that is none is refused before anything is asked."""
    with pytest.raises(InvalidRequestError):
        Place.of_token(token)


def test_ambient_settings_are_not_read(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Write
) -> None:
    """Another tool's default account does not get in the way of a profile."""
    config = tmp_path / "aws"
    config.write_text("[default]\nregion = mars\nendpoint_url = http://127.0.0.1:1\n")
    for name, value in {
        "AWS_PROFILE": "ghost",
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": str(tmp_path / "none.pem"),
        "AWS_ACCESS_KEY_ID": "ghost",
    }.items():
        monkeypatch.setenv(name, value)

    with pytest.warns(UserWarning, match="AWS_ACCESS_KEY_ID is set and not used"):
        cloud = connect()

    assert cloud.artifacts.push(file(b"x"), name="ambient", kind="data").version


def test_credentials_are_checked(connect: Connect) -> None:
    """A wrong key is told apart from a wrong key's name, and neither is shown."""
    wrong = connect(secret_access_key=SecretValue("wrong-and-secret"))
    unknown = connect(access_key_id="UNKNOWN")
    for cloud in (wrong, unknown):
        with pytest.raises(AuthenticationError) as caught:
            cloud.artifacts.get("x")

        assert "wrong-and-secret" not in repr(vars(caught.value)) + str(caught.value)
        assert caught.value.status == 403
        assert caught.value.request_id


def test_no_bucket(connect: Connect, file: Write) -> None:
    """A bucket that does not exist is a mistake in the configuration."""
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        connect(bucket="no-such-bucket").artifacts.push(file(b"x"), name="x", kind="data")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("AccessDenied", 403, PermissionDeniedError),
        ("ExpiredToken", 400, AuthenticationError),
        ("RequestTimeTooSkewed", 403, AuthenticationError),
        ("EntityTooLarge", 400, QuotaError),
        ("BadDigest", 400, IntegrityError),
        ("NotImplemented", 501, UnsupportedError),
        ("NeverHeardOf", 400, InvalidRequestError),
        ("NeverHeardOf", 507, QuotaError),
        ("NeverHeardOf", 500, UnavailableError),
    ],
)
def test_codes(settings: dict[str, Any], code: str, status: int, error: type[MoorageError]) -> None:
    """Each code of a server is the error that it means, with its status and its request."""
    answer = Answer(
        status=status,
        body=f"<Error><Code>{code}</Code><Message>So.</Message></Error>",
        content_type="application/xml",
        headers={"x-amz-request-id": "r-1"},
        times=None,
    )
    with FaultServer() as server, FaultProxy(server.url) as proxy:
        proxy.script(answer)
        client = Client(**{**settings, "endpoint": proxy.url})
        with pytest.raises(error) as caught:
            client.get("x")
        client.close()

    assert type(caught.value) is error
    assert (caught.value.status, caught.value.request_id) == (status, "r-1")
    assert isinstance(caught.value.__cause__, ClientError)
    if status < 500:
        assert proxy.counts.requests == 1


def test_silence(settings: dict[str, Any]) -> None:
    """A server that does not answer is waited for as long as the settings say."""
    with FaultServer() as server, FaultProxy(server.url) as proxy:
        proxy.script(Stall(times=None))
        client = Client(**{**settings, "endpoint": proxy.url, "read_timeout": 0.2, "attempts": 2})
        with pytest.raises(TimedOutError, match="Read timeout"):
            client.get("x")
        client.close()


def test_nobody_there(settings: dict[str, Any]) -> None:
    """A server that is not there is unavailable, and the message names what could not be done."""
    client = Client(**{**settings, "endpoint": "http://127.0.0.1:9"})
    with pytest.raises(UnavailableError, match="cannot read s3://conformance/moorage/x") as caught:
        client.get("x")
    client.close()

    assert caught.value.origin == "network"


def test_closed(client: Client) -> None:
    """A client that was closed refuses, and says so."""
    client.close()
    client.close()

    with pytest.raises(InvalidRequestError, match="closed"):
        client.get("x")


def test_imports_public_interface_only() -> None:
    """Of moorage, this package imports the plugin interface and the errors."""
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {name.name for name in node.names}

    ours = {name for name in found if name and name.partition(".")[0].startswith("moorage")}
    assert ours == {
        "moorage.errors",
        "moorage.plugin",
        "moorage.plugin.archive",
        "moorage.plugin.transport",
    }
