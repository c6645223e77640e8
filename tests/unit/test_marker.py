"""The mark of a hook's implementation."""

import subprocess
import sys
from typing import Any

import pluggy
import pytest

from moorage.plugin import hookimpl


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tryfirst": True},
        {"trylast": True, "specname": "moorage_redact"},
        {"wrapper": True, "optionalhook": True},
    ],
)
def test_marks_are_those_of_pluggy(options: dict[str, Any]) -> None:
    """A function that is marked here is marked as pluggy marks it, and stays the same function."""

    def ours() -> None: ...
    def theirs() -> None: ...

    marked = hookimpl(**options)(ours) if options else hookimpl(ours)
    pluggy.HookimplMarker("moorage")(**options)(theirs)

    assert marked is ours
    assert vars(ours) == vars(theirs)


@pytest.mark.parametrize("name", ["abeja", "bentocloud", "konigle"])
def test_clients_start_light(name: str) -> None:
    """A program that uses a provider's client alone loads neither pluggy nor drivers."""
    program = (
        f"import sys; from moorage_{name} import Client\n"
        "print(*{'pluggy', 'moorage.plugin._driver', 'hmac', 'urllib3'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
