"""A provider package whose cloud lives in memory, for commands that are tested without a server."""

from typing import Annotated, Any

import click
from memory_provider import EVERYTHING, MemoryDriver, World

from moorage.plugin import (
    Artifact,
    ArtifactKind,
    OpenContext,
    ProviderInfo,
    Settings,
    Support,
    SupportLevel,
    hookimpl,
    setting,
)


class Harbor:
    """The one cloud that every connection sees."""

    world = World()


class HarborSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tests turn."""

    polls: Annotated[int, setting("How often a change is looked at before it is done.")] = 1
    artifacts: Annotated[int, setting("How many artifacts there are at the beginning.")] = 0


@hookimpl
def moorage_provider() -> ProviderInfo:
    capabilities = dict(EVERYTHING)
    capabilities["deployments.promote"] = Support(
        SupportLevel.UNSUPPORTED, "a harbor has no stages"
    )
    capabilities["logs.follow.job"] = Support(SupportLevel.EMULATED, "it is read again and again")
    return ProviderInfo(
        name="harbor",
        summary="A cloud in memory",
        open=_open,
        settings=HarborSettings,
        capabilities=capabilities,
    )


@hookimpl
def moorage_cli(group: Any) -> None:
    @group.command("tide")
    @click.pass_obj
    def tide(app: Any) -> None:
        """Tell how high the water is."""
        app.out.value("tide", f"high at {app.cloud.provider}")


def _open(settings: HarborSettings, _context: OpenContext) -> Any:
    world = Harbor.world
    world.polls = settings.polls
    world.page_size = 100
    for number in range(settings.artifacts):
        artifact = Artifact(
            id=f"many:{number}", name="many", version=str(number), kind=ArtifactKind.DATA
        )
        world.artifacts[artifact.id] = (artifact, {})
    return MemoryDriver(world)
