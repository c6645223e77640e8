"""The settings by which a profile says how a client behaves."""

from pathlib import Path
from typing import Annotated

from ..._redaction import SecretValue
from .._settings import Settings, setting
from ._options import HttpOptions
from ._retry import RetryPolicy


class HttpSettings(Settings, frozen=True, kw_only=True):
    """The keys of a profile that are the same for every provider that is reached by HTTP.

    A provider's own settings derive from it.
    """

    timeout: Annotated[float, setting("Seconds that one call may take, repetitions included.")] = (
        300.0
    )
    connect_timeout: Annotated[float, setting("Seconds that a connection may take.")] = 10.0
    read_timeout: Annotated[
        float, setting("Seconds without a byte after which a connection counts as lost.")
    ] = 60.0
    attempts: Annotated[
        int, setting("Requests that one call may take where it is safe to repeat; 1 never repeats.")
    ] = 4
    ca_bundle: Annotated[
        Path | None,
        setting("PEM file of the authorities to trust instead of the system's.", trusted=True),
    ] = None
    client_certificate: Annotated[
        Path | None, setting("PEM file of a certificate to present.", trusted=True)
    ] = None
    client_key: Annotated[
        Path | None, setting("PEM file of the key of `client_certificate`.", trusted=True)
    ] = None
    proxy: Annotated[
        SecretValue | None,
        setting("URL of the proxy for every request.", destination=True, trusted=True),
    ] = None
    allow_plain_http: Annotated[
        bool, setting("Let credentials travel to other machines without TLS.", trusted=True)
    ] = False

    def http_options(self) -> HttpOptions:
        """Return what these settings ask of a client."""
        return HttpOptions(
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            timeout=self.timeout,
            retry=RetryPolicy(attempts=self.attempts),
            ca_bundle=self.ca_bundle,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            proxy=self.proxy,
            allow_plain_http=self.allow_plain_http,
        )
