"""Log streams that are cut."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import moorage
import pytest
from moorage.errors import UnavailableError
from moorage.plugin import LogTarget
from moorage_conformance.faults import Cut, FaultProxy

from moorage_nimbus import Client
from moorage_nimbus._logs import Logs
from moorage_nimbus.fake import FakeCloud


@pytest.mark.parametrize("after_bytes", [1, 40, 150])
def test_cut_streams_lose_nothing(
    fake: FakeCloud,
    project: str,
    app: Path,
    fault_proxy: Callable[..., FaultProxy],
    after_bytes: int,
) -> None:
    """A stream that is cut anywhere is picked up: each line once, and its end is an end."""
    proxy = fault_proxy(fake.url)
    with moorage.connect(
        provider="nimbus",
        endpoint=proxy.url,
        token=fake.token,
        project=project,
    ) as cloud:
        artifact = cloud.artifacts.push(app)
        proxy.script(Cut(path="*/stream", part="body", after_bytes=after_bytes, times=2))
        job = cloud.jobs.submit(artifact, "double", input=1, retries=0)
        follow = cloud.logs.follow(job, since=datetime.now(UTC) - timedelta(minutes=1))
        messages = [record.message for record in follow]

    assert messages == ["doubling"]
    assert follow.reason == "finished"


def test_half_a_line(
    fake: FakeCloud,
    app: Path,
    cloud: moorage.Cloud,
    connect: Callable[..., Client],
    fault_proxy: Callable[..., FaultProxy],
) -> None:
    """A stream that breaks off raises `UnavailableError` instead of looking like an end."""
    job = cloud.jobs.submit(cloud.artifacts.push(app), "double", input=1)
    cloud.jobs.wait(job, timeout=30)
    proxy = fault_proxy(fake.url)
    proxy.script(Cut(path="*/stream", part="body", after_bytes=40))
    stream = Logs(connect(endpoint=proxy.url)).follow(LogTarget(kind="job", key=job.id), "0")

    with pytest.raises(UnavailableError):
        list(stream)
    assert not stream.finished
