"""The pytest fixtures `fault_proxy` and `fault_server`.

pytest imports this module in every run where the package is installed, so that it imports nothing
else before a fixture is used.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .faults import FaultProxy, FaultServer


@pytest.fixture
def fault_proxy() -> "Iterator[Callable[..., FaultProxy]]":
    """Start fault proxies: call it as `FaultProxy`. They are closed when the test is over."""
    from contextlib import ExitStack

    from .faults import FaultProxy

    with ExitStack() as open_proxies:

        def start(target: str, **options: Any) -> FaultProxy:
            return open_proxies.enter_context(FaultProxy(target, **options))

        yield start


@pytest.fixture
def fault_server() -> "Iterator[FaultServer]":
    """Start a fault server, and close it when the test is over."""
    from .faults import FaultServer

    with FaultServer() as server:
        yield server
