"""What a test makes go wrong inside this cloud, rather than on the way to it."""

from typing import Literal

import msgspec


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The API, or an endpoint, answers with an error and does nothing."""

    method: str | None = None
    """Only requests with this method; `None` for any."""

    path: str = "*"
    """Only requests whose path fits this pattern, in which `*` is anything."""

    status: int = 500
    """Of the answer."""

    text: str = "refused by the emulator"
    """What the answer says."""

    trace: bool = False
    """Whether the answer carries a trace id, as those of failed gateways do."""

    endpoint: bool = False
    """Whether it is about the endpoints of deployments instead of the API."""

    times: int = 1
    """How many requests it meets."""


class TailFault(msgspec.Struct, frozen=True, kw_only=True):
    """A log stream ends early."""

    after_lines: int = 0
    """How many lines it gives before."""

    how: Literal["drop", "close", "error", "eof"] = "drop"
    """Whether the connection breaks, closes in order, tells an error, or says it was all."""

    times: int = 1
    """How many streams it meets."""
