"""Which proxy a request goes through."""

import base64
import os
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from ..._redaction import SecretValue
from ...errors import ConfigError
from ._address import Address, Origin


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP proxy."""

    origin: Origin
    """Where it listens."""

    authorization: SecretValue | None = None
    """What it wants to see as `Proxy-Authorization`."""


def parse_proxy(url: str, source: str) -> Proxy:
    """Read a proxy's URL, which may hold a user name and a password.

    Args:
        url: As in the settings or the environment; without a scheme it is `http://`.
        source: Where it comes from, for the error.

    Raises:
        ConfigError: It is not a URL, or a kind of proxy that is not supported.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    if scheme.lower() not in {"http", "https"}:
        raise ConfigError(
            f"{source} names a proxy of a kind that is not supported",
            hint="an HTTP proxy is written http://HOST:PORT or https://HOST:PORT",
        )
    authority = rest.partition("/")[0]
    user, at, host = authority.rpartition("@")
    try:
        address = Address.parse(f"{scheme.lower()}://{host}")
    except ValueError as exc:
        raise ConfigError(f"{source} is not a proxy's URL: {exc}") from None
    authorization = None
    if at:
        pair = base64.b64encode(unquote(user).encode()).decode("ascii")
        authorization = SecretValue(f"Basic {pair}")
    return Proxy(origin=address.origin, authorization=authorization)


def environment_proxy(origin: Origin, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that the environment names for an origin.

    `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` are read in either case, the lower
    one first. This machine is never reached through a proxy.

    Raises:
        ConfigError: The variable is not a proxy's URL.
    """
    if origin.loopback:
        return None
    name, url = _variable(origin.scheme, environment)
    if not url or _exempt(origin, _either(environment, "no_proxy")):
        return None
    return parse_proxy(url, f"the variable {name}")


def _variable(scheme: str, environment: Mapping[str, str]) -> tuple[str, str]:
    names = [f"{scheme}_proxy", "all_proxy"]
    for name in names:
        if environment.get(name):
            return name, environment[name]
        # A web server hands a request's `Proxy` header to CGI programs as HTTP_PROXY.
        if name == "http_proxy" and "REQUEST_METHOD" in environment:
            continue
        if environment.get(name.upper()):
            return name.upper(), environment[name.upper()]
    return "", ""


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _exempt(origin: Origin, rules: str) -> bool:
    """Return whether `no_proxy` names the origin: `*`, a host, or a domain and all below it."""
    for rule in rules.lower().replace(" ", ",").split(","):
        host, port = _divided(rule)
        if port and port != str(origin.port):
            continue
        host = host.removeprefix("*").lstrip(".")
        if rule == "*" or (host and (origin.host == host or origin.host.endswith(f".{host}"))):
            return True
    return False


def _divided(rule: str) -> tuple[str, str]:
    """Return the host and the port of a rule, the latter empty where it has none."""
    if rule.startswith("["):
        host, _, rest = rule[1:].partition("]")
        return host, rest.removeprefix(":")
    if rule.count(":") == 1:
        host, _, port = rule.partition(":")
        return host, port
    return rule, ""  # an IPv6 address without brackets has more colons
