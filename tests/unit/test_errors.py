"""The tree of errors."""

import copy
import pickle
import re

import pytest
from memory_provider import World, open_memory

from moorage import errors
from moorage.errors import MoorageError, Origin, Retry

CLASSES = [
    value
    for name in errors.__all__
    if isinstance(value := getattr(errors, name), type) and issubclass(value, MoorageError)
]


def test_drawing() -> None:
    """The tree in the docstring is the tree of the classes."""
    drawn = dict(
        re.match(r"(\w+)(?: \((\w+)\))?", line.strip("│├└─ ")).groups()  # type: ignore[union-attr]  # every line of the drawing has a name
        for line in (errors.__doc__ or "").splitlines()
        if "──" in line
    )
    real = {}
    for error in CLASSES:
        if error is not MoorageError:
            builtin = [base for base in error.__bases__ if base is not MoorageError]
            real[error.__name__] = builtin[0].__name__ if builtin else None

    assert drawn == real


@pytest.mark.parametrize("error", CLASSES)
def test_copies(error: type[MoorageError]) -> None:
    """Every error survives copying and pickling with all that it knows."""
    made = error(
        "it broke",
        hint="mend it",
        provider="p",
        operation="jobs.get",
        resource="job/1",
        status=418,
        request_id="r-1",
        retry=Retry.EXHAUSTED,
        origin=Origin.NETWORK,
    )

    for twin in (copy.copy(made), pickle.loads(pickle.dumps(made))):
        assert type(twin) is error
        assert str(twin) == "it broke"
        assert twin.__dict__ == made.__dict__
        assert (twin.retry, twin.origin) == (Retry.EXHAUSTED, Origin.NETWORK)


def test_timed_out_pickles_without_its_operation() -> None:
    """A time-out that holds an operation pickles; the operation stays behind."""
    cloud = open_memory(World())
    operation = cloud.deployments.deploy("iris", "iris:1")
    made = errors.TimedOutError("too late", pending=operation)

    twin = pickle.loads(pickle.dumps(made))

    assert made.pending is operation
    assert twin.pending is None
    assert str(twin) == "too late"


@pytest.mark.parametrize("error", CLASSES)
def test_codes(error: type[MoorageError]) -> None:
    """Each class has a stable code of its own, in lower case with underscores."""
    code = error("x").code

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert code.replace("_", "") + "error" == error.__name__.lower()


def test_context_fills_only_what_is_unknown() -> None:
    """Context that is known already is kept."""
    made = MoorageError("x", operation="jobs.get")

    made.with_context(provider="p", operation="jobs.list", resource="job/1")

    assert (made.provider, made.operation, made.resource) == ("p", "jobs.get", "job/1")
