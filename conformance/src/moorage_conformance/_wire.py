"""The wire between a provider and the fake that it talks to: counted, kept, broken on purpose."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from moorage._config._schema import setting_fields  # what the marks of settings mean
from moorage.plugin import SecretValue

from .faults import Answer, Conversation, Delay, Fault, FaultProxy, Passage, Reset, Trickle
from .faults._listener import loopback

if TYPE_CHECKING:
    from moorage.plugin import ProviderInfo

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""

_SAFE = "GET|HEAD"
_SCHEMES = frozenset({"http", "ws"})

MILD: Sequence[Fault] = (
    Delay(seconds=0.005, nth=3, every=7, times=None),
    Delay(seconds=0.005, before="reply", nth=5, every=11, times=None),
    Trickle(nth=2, every=13, times=None),
    Reset(method=_SAFE, nth=6, every=43, times=None),
    Reset(method=_SAFE, when="reply", nth=19, every=61, times=None),
    Answer(method=_SAFE, status=503, retry_after=0, nth=31, every=53, times=None),
)
"""What goes wrong all the time on a bad day, and what a client lives with without a word: delays,
heads that arrive byte by byte, and reads that fail at first. A client that repeats a read once or
twice notices none of it; together they break one read in seventeen.
"""


class Wire:
    """The fault proxies before everything that a provider's settings lead to.

    A provider has a wire where its settings are marked as destinations and hold URLs on this
    machine. One proxy stands before each of their origins. What a server hands out by itself (a
    signed URL, a name of its own) is left as it is, and passes beside the proxies where it leads
    elsewhere.

    Args:
        info: Says which settings are destinations.
        settings: What connects without a wire.
        faulty: Whether `MILD` faults happen wherever no others do.
    """

    def __init__(
        self, info: "ProviderInfo", settings: Mapping[str, Any], *, faulty: bool = False
    ) -> None:
        self.faulty = faulty
        self._keys = [field.key for field in setting_fields(info).values() if field.destination]
        self._proxies: dict[str, FaultProxy] = {}
        self._stack = contextlib.ExitStack()
        for key in self._keys:
            parts = _local(settings.get(key))
            if parts is not None and _origin(parts) not in self._proxies:
                # Not every system finds `x.localhost`, which means this machine all the same.
                named = (parts.hostname or "").endswith(".localhost")
                target = f"127.0.0.1:{parts.port or 80}" if named else _origin(parts)
                self._proxies[_origin(parts)] = FaultProxy(f"http://{target}", tape=True)

    def __bool__(self) -> bool:
        """Whether anything passes that can be seen."""
        return bool(self._proxies)

    def start(self) -> None:
        """Begin to listen."""
        for proxy in self._proxies.values():
            self._stack.enter_context(proxy)
        self._quiet()

    def close(self) -> None:
        """End, with every connection that is open; a second time does nothing."""
        self._stack.close()

    def through(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings that lead through the proxies instead of past them."""
        led = dict(settings)
        for key in self._keys:
            parts = _local(led.get(key))
            proxy = self._proxies.get(_origin(parts)) if parts is not None else None
            if parts is None or proxy is None:
                continue
            userinfo, at, _ = parts.netloc.rpartition("@")
            # The host stays as it is: clouds make other names of it, and tell servers apart by it.
            host = "127.0.0.1" if ":" in (parts.hostname or "") else parts.hostname
            there = parts._replace(netloc=f"{userinfo}{at}{host}:{urlsplit(proxy.url).port}")
            text = there.geturl()
            led[key] = SecretValue(text) if isinstance(led[key], SecretValue) else text
        return led

    # What passed ----------------------------------------------------------------------------------

    def mark(self) -> "Mark":
        """Return a moment, to ask later what passed since."""
        return Mark(self._proxies)

    @property
    def requests(self) -> int:
        """How many requests have arrived."""
        return sum(proxy.counts.requests for proxy in self._proxies.values())

    @property
    def open_connections(self) -> int:
        """How many connections to the proxies are open."""
        return sum(proxy.counts.open_connections for proxy in self._proxies.values())

    # What goes wrong ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def broken(self, *faults: Fault) -> Iterator[None]:
        """Let these faults happen and no others; each origin counts requests by itself."""
        for proxy in self._proxies.values():
            proxy.script(*faults)
        try:
            yield
        finally:
            self._quiet()

    @contextlib.contextmanager
    def calm(self) -> Iterator[None]:
        """Let nothing go wrong meanwhile."""
        with contextlib.ExitStack() as stack:
            for proxy in self._proxies.values():
                stack.enter_context(proxy.calm())
            yield

    def cut_off(self) -> None:
        """Break every connection that is open now."""
        for proxy in self._proxies.values():
            proxy.disconnect()

    def _quiet(self) -> None:
        for proxy in self._proxies.values():
            proxy.script(*(MILD if self.faulty else ()))


class Mark:
    """A moment on the wire."""

    def __init__(self, proxies: Mapping[str, FaultProxy]) -> None:
        self._before = [(proxy, proxy.counts.requests) for proxy in proxies.values()]

    @property
    def requests(self) -> int:
        """How many requests arrived since."""
        return sum(proxy.counts.requests - before for proxy, before in self._before)

    @property
    def passages(self) -> list[Passage]:
        """What became of each request since, those of one origin in their order."""
        return [
            passage
            for proxy, before in self._before
            for passage in _last(proxy.passages, proxy.counts.requests - before)
        ]

    @property
    def writes(self) -> list[Passage]:
        """The requests since that may have changed something."""
        return [passage for passage in self.passages if passage.method not in READS]

    @property
    def conversations(self) -> list[Conversation]:
        """What requests and replies said since, as far as it was kept."""
        return [
            conversation
            for proxy, before in self._before
            for conversation in _last(proxy.conversations, proxy.counts.requests - before)
        ]


def _last(items: Sequence[Any], count: int) -> Sequence[Any]:
    return items[-count:] if count > 0 else ()


def _local(value: object) -> SplitResult | None:
    """Return the parts of a URL of this machine without TLS; `None` for anything else."""
    text = value.reveal() if isinstance(value, SecretValue) else value
    if not isinstance(text, str) or not re.match(r"[a-z]+://", text):
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    here = host is not None and (loopback(host) or host.endswith(".localhost"))
    return parts if parts.scheme in _SCHEMES and here else None


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]:{parts.port or 80}" if ":" in host else f"{host}:{parts.port or 80}"
