"""The settings of the local provider: the keys of a profile."""

from pathlib import Path
from typing import Annotated

import msgspec

from moorage.plugin import Settings, setting


class LocalSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile of the local provider can say.

    Those about running things hold for the whole home: where profiles that share one differ, the
    one that last deployed or submitted wins.
    """

    home: Annotated[
        Path | None,
        setting(
            "Directory that holds everything; by default `moorage/local` in the user's data"
            " directory.",
            trusted=True,  # a prepared home would run what is deployed in it
        ),
    ] = None

    max_jobs: Annotated[
        int, msgspec.Meta(ge=1, le=1000), setting("How many jobs run at the same time.")
    ] = 4

    kept_jobs: Annotated[
        int,
        msgspec.Meta(ge=0, le=1_000_000),
        setting("How many jobs that have ended are kept, with their logs and results."),
    ] = 1000

    health_timeout: Annotated[
        float,
        msgspec.Meta(gt=0, le=86_400),
        setting("Seconds that an app may take until it is ready, unless its deployment says else."),
    ] = 120.0

    stop_timeout: Annotated[
        float,
        msgspec.Meta(gt=0, le=3600),
        setting(
            "Seconds between asking an app or a job to end and killing it, unless its deployment"
            " says else."
        ),
    ] = 10.0

    idle_timeout: Annotated[
        float,
        msgspec.Meta(ge=0, le=86_400),
        setting("Seconds after which the supervisor ends when nothing runs or is queued."),
    ] = 30.0

    log_segment_bytes: Annotated[
        int,
        msgspec.Meta(ge=64 * 1024, le=1 << 30),
        setting("Size in bytes at which a log begins another file."),
    ] = 8 * 1024 * 1024

    log_segments: Annotated[
        int,
        msgspec.Meta(ge=2, le=1000),
        setting("How many such files are kept for each deployment and job."),
    ] = 8
