"""TLS: always verified, with one context for all clients of the same settings."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    import ssl


@functools.lru_cache(maxsize=32)
def tls_context(
    ca_bundle: Path | None = None,
    client_certificate: Path | None = None,
    client_key: Path | None = None,
) -> "ssl.SSLContext":
    """Return the context for these files; reading the trust store takes longer than a handshake.

    There is no way to switch the verification off: a server with a certificate of its own is
    trusted by a bundle that names it.

    Args:
        ca_bundle: Trusted authorities, as PEM; by default the system's.
        client_certificate: A certificate to present, as PEM, with the chain below it.
        client_key: Its key, where it is in a file of its own.

    Raises:
        ConfigError: A file cannot be read, or is not what it should be.
    """
    import ssl

    from ._sockets import TlsSocket

    context = ssl.create_default_context() if ca_bundle is None else _trusting(ca_bundle)
    context.sslsocket_class = TlsSocket
    if client_certificate is not None:
        _present(context, client_certificate, client_key)
    elif client_key is not None:
        raise ConfigError(
            f"there is a client key, {str(client_key)!r}, and no client certificate",
            hint="set client_certificate, too",
        )
    return context


def _trusting(bundle: Path) -> "ssl.SSLContext":
    import ssl

    try:
        return ssl.create_default_context(
            cafile=str(bundle) if not bundle.is_dir() else None,
            capath=str(bundle) if bundle.is_dir() else None,
        )
    except OSError as exc:  # an `SSLError` is one, too
        raise ConfigError(
            f"the CA bundle {str(bundle)!r} cannot be used: {exc.strerror or exc}",
            hint="it must be a readable file of PEM certificates, or a directory made by c_rehash",
        ) from exc


def _present(context: "ssl.SSLContext", certificate: Path, key: Path | None) -> None:
    try:
        # Without a password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as exc:
        named = f"{str(certificate)!r}" + (f" with the key {str(key)!r}" if key else "")
        raise ConfigError(
            f"the client certificate {named} cannot be used: {exc.strerror or exc}",
            hint="both must be readable PEM files that belong together; the key not encrypted",
        ) from exc
