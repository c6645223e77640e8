"""What is not the same on every installation of this cloud, and what nobody outside knows."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How the emulator decides where the cloud could do this or that; change it at any time."""

    transmission_strategy: str | None = None
    """How bentos and models that are created from now on are transferred.

    `"presigned_url"` is in several parts, `"proxy"` through the API; `None` asks for a URL.
    """

    presigned: bool = True
    """Whether one who asks for a URL gets one; otherwise the transfer goes through the API."""

    storage_url: str | None = None
    """Where signed URLs lead to instead of `origin(1)`, such as a fault proxy before that."""

    minimum_part_bytes: int = 0
    """Least size of every part but the last; public object stores want 5 MiB."""

    default_count: int = 10
    """How much a page holds when nobody says."""

    page_limit: int | None = None
    """How much a page holds at most, whatever was asked for."""

    legacy_not_found: bool = False
    """Whether what is missing is answered with 400 instead of 404, as older servers do."""

    delete_running: bool = False
    """Whether a deployment can be deleted that was not terminated."""

    mask_secrets: bool = False
    """Whether the values of secrets are left out where they are read."""

    heartbeat_s: float = 10.0
    """Seconds of silence after which a log stream sends a heartbeat."""

    pods_heartbeat_first: bool = False
    """Whether a heartbeat comes before the list of pods."""

    lines_per_message: int = 64
    """How many lines one message of a log stream holds at most."""

    item_bytes: int | None = None
    """Size of the pieces that logs are cut into; `None` for one line each."""
