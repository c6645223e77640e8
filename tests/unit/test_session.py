"""What holds for a connection as a whole: closing, forking, observing."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from memory_provider import World, open_memory

import moorage
from moorage import errors


def test_closed_twice_and_used_after() -> None:
    """Closing twice is fine; using a closed cloud is a clear error."""
    world = World()
    cloud = open_memory(world)
    driver = cloud._session._driver

    cloud.close()
    cloud.close()

    assert driver.closed == 1  # type: ignore[attr-defined]  # the in-memory driver counts
    with pytest.raises(errors.InvalidRequestError, match="is closed"):
        cloud.deployments.get("iris")
    with pytest.raises(errors.InvalidRequestError, match="is closed"):
        _ = cloud.native
    assert not world.requests


def test_with_statement_closes() -> None:
    """A `with` statement closes the cloud, also when its body fails."""
    with pytest.raises(KeyError), open_memory(World()) as cloud:
        driver = cloud._session._driver
        raise KeyError

    assert driver.closed == 1  # type: ignore[attr-defined]  # the in-memory driver counts


def test_errors_of_a_provider_show_no_secret() -> None:
    """A secret that a provider's error quotes is masked, whoever reads the error."""
    world = World()
    cloud = open_memory(world)
    cloud.secrets.put("db", {"PASSWORD": "hunter2"})
    world.faults["secrets.get"].append(
        errors.InvalidRequestError("not 'hunter2'", hint="not hunter2", fields={"a": "hunter2"})
    )

    with pytest.raises(errors.InvalidRequestError) as caught:
        cloud.secrets.get("db")

    assert (str(caught.value), caught.value.hint) == ("not '***'", "not ***")
    assert caught.value.fields == {"a": "***"}
    assert "hunter2" not in repr(caught.value)


def test_redact_masks_what_the_connection_has_met() -> None:
    """Text is masked with the values that went through this connection, and others are left."""
    cloud = open_memory(World())
    cloud.secrets.put("db", {"PASSWORD": "hunter2"})

    assert cloud.redact("hunter2 at https://u:p@h/, hunter3") == "*** at https://***@h/, hunter3"


def test_redact_masks_what_was_revealed() -> None:
    """A value that this connection did not put, and was shown, is masked from then on."""
    world = World()
    open_memory(world).secrets.put("db", {"PASSWORD": "hunter2"})
    cloud = open_memory(world)

    cloud.secrets.get("db", reveal=True)

    assert cloud.redact("hunter2") == "***"


def test_forked_process_gets_its_own_driver() -> None:
    """After a fork the child opens a driver of its own and leaves the parent's alone."""
    cloud = open_memory(World())
    mine = cloud._session.driver
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        different = cloud._session.driver is not mine
        cloud.close()
        untouched = mine.closed == 0  # type: ignore[attr-defined]  # the in-memory driver counts
        os.write(writer, b"yes" if different and untouched else b"no")
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 3)
    os.close(reader)
    os.waitpid(child, 0)

    assert answer == b"yes"
    assert cloud._session.driver is mine


def test_forked_process_closes_nothing_of_its_parent() -> None:
    """A child that makes no call of its own leaves its parent's driver open when it ends."""
    cloud = open_memory(World())
    mine = cloud._session.driver
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        cloud.close()
        os.write(writer, str(mine.closed).encode())  # type: ignore[attr-defined]  # as above
        os._exit(0)
    os.close(writer)
    closed = os.read(reader, 3)
    os.close(reader)
    os.waitpid(child, 0)

    assert closed == b"0"


def test_supports_and_repr() -> None:
    """A cloud tells what it can do and what it is."""
    cloud = open_memory(World(), without=("jobs.cancel",))

    assert cloud.supports("jobs.get")
    assert not cloud.supports("jobs.cancel")
    with pytest.raises(KeyError, match=r"jobs\.cancel"):
        cloud.supports("jobs.cancl")
    assert repr(cloud) == "<Cloud 'memory' on 'memory'>"


@pytest.fixture
def _structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_structlog")
def test_calls_are_logged_where_somebody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    """Each portable call is one event, once a program has configured structlog."""
    cloud = open_memory(World())
    events: list[dict[str, object]] = []

    def keep(logger: object, method: str, event: dict[str, object]) -> dict[str, object]:
        events.append({**event, "method": method})
        raise structlog.DropEvent

    with pytest.raises(errors.NotFoundError):
        cloud.deployments.get("before")
    assert capfd.readouterr() == ("", "")
    structlog.configure(processors=[keep])  # type: ignore[list-item]  # a processor of plain types
    with pytest.raises(errors.NotFoundError):
        cloud.deployments.get("iris")

    assert len(events) == 1
    assert events[0].pop("seconds") is not None
    assert events[0] == {
        "event": "call finished",
        "method": "debug",
        "operation": "deployments.get",
        "provider": "memory",
        "profile": "memory",
        "resource": "deployment/iris",
        "error": "not_found",
    }


def test_nothing_heavy_is_imported() -> None:
    """`import moorage` alone imports no dependency at all."""
    code = (
        "import sys; before = set(sys.modules); import moorage; "
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('moorage')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    heavy = {"msgspec", "pluggy", "urllib3", "structlog", "rich", "click", "importlib.metadata"}
    assert not heavy & set(done.stdout.replace("'", " ").replace(",", " ").split())


def test_public_names() -> None:
    """Every public name can be imported, is listed once, in order, and in the type stubs' view."""
    assert list(moorage.__all__) == sorted(moorage.__all__)
    assert len(set(moorage.__all__)) == len(moorage.__all__)
    assert set(moorage._HOMES) == set(moorage.__all__) - {"__version__"}
    for name in moorage.__all__:
        assert getattr(moorage, name) is not None
    assert moorage.errors.MoorageError is moorage.MoorageError
    assert set(moorage.__all__) <= set(dir(moorage))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = moorage.nothing
