"""Where requests go: base URLs, their origins, and URLs that are secrets themselves."""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from ..._redaction import MASK, SecretValue
from ...errors import InvalidRequestError

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# What `urlsplit` would drop without a word, or what must never reach a request line.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?")


class Origin(NamedTuple):
    """The scheme, host and port of a URL: who is talked to, and so who may see a credential."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""

    port: int

    def __str__(self) -> str:
        suffix = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{self.literal}{suffix}"

    @property
    def literal(self) -> str:
        """The host as a URL spells it: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def encrypted(self) -> bool:
        """Whether TLS protects what is sent."""
        return self.scheme in {"https", "wss"}

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, so that nothing leaves it."""
        return is_loopback(self.host)


class Address(NamedTuple):
    """An absolute URL in parts; it has no fragment."""

    origin: Origin
    path: str
    """As written, so that signatures stay valid; empty or beginning with `/`."""

    query: str
    """As written, without the question mark."""

    @classmethod
    def parse(cls, url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> "Address":
        """Read an absolute URL.

        Raises:
            ValueError: It is none, or has a user name. The message does not quote it.
        """
        if _FORBIDDEN.search(url):
            msg = "it has a blank, a control character or a backslash"
            raise ValueError(msg)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            msg = "it cannot be parsed"
            raise ValueError(msg) from None  # the original quotes the URL
        if parts.scheme not in schemes:
            msg = f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
            raise ValueError(msg)
        if "@" in parts.netloc:
            msg = "it has a user name or a password"
            raise ValueError(msg)
        host = _host(parts.hostname or "")
        if port == 0:
            msg = "it has port 0"
            raise ValueError(msg)
        # A path or query in another alphabet is percent-encoded; what is encoded stays as it is.
        path, query = (
            quote(part, safe="%/:?#[]@!$&'()*+,;=~") for part in (parts.path, parts.query)
        )
        return cls(Origin(parts.scheme, host, port or _PORTS[parts.scheme]), path, query)

    def joined(self, location: str) -> "Address":
        """Return the address that a reply from here points to.

        Raises:
            ValueError: It is none. The message does not quote it.
        """
        try:
            url = urljoin(f"{self.origin}{self.target}", location)
        except ValueError:
            msg = "it cannot be parsed"
            raise ValueError(msg) from None  # the original quotes it
        return Address.parse(url)

    @property
    def target(self) -> str:
        """The request target: path and query."""
        path = self.path or "/"
        return f"{path}?{self.query}" if self.query else path

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without its query, which may hold a signature."""
        return f"{self.origin}{self.path}" + (f"?{MASK}" if self.query else "")

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"<Address {self.shown}>"


class SignedUrl:
    """A URL that carries its own permission, such as a presigned one; treat it as a secret.

    A request to it takes no credential and no header of the client's own along. Its query is
    shown nowhere.

    Raises:
        InvalidRequestError: It is not an absolute URL.
    """

    __slots__ = ("address",)

    def __init__(self, url: str | SecretValue) -> None:
        text = url.reveal() if isinstance(url, SecretValue) else url
        try:
            self.address = Address.parse(text)
        except ValueError as exc:
            raise InvalidRequestError(f"a signed URL cannot be used: {exc}") from None

    def __repr__(self) -> str:
        return f"SignedUrl({self.address.shown!r})"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _host(host: str) -> str:
    """Return a host in the form that DNS and certificates use."""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            msg = "its host is not an IPv6 address"
            raise ValueError(msg) from None
        return host.lower()
    try:
        host = host.lower().encode("ascii" if host.isascii() else "idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not _HOST.fullmatch(host):
        msg = "it has no host" if not host else "its host is not a host name"
        raise ValueError(msg)
    return host
