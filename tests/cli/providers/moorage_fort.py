"""A provider package that lets in only who has the credential."""

from typing import Annotated, Any

from memory_provider import EVERYTHING, MemoryDeployments, MemoryDriver, World

from moorage.errors import AuthenticationError
from moorage.plugin import (
    Deployment,
    OpenContext,
    Page,
    ProviderInfo,
    SecretValue,
    Settings,
    hookimpl,
    setting,
)

PASSWORD = "open sesame"


class FortSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A profile of the fort."""

    token: Annotated[SecretValue, setting("What the guard asks for.")]
    endpoint: Annotated[str, setting("Where the gate is.", destination=True)]
    second: Annotated[SecretValue | None, setting("What the second guard asks for.")] = None


class _Guarded(MemoryDeployments):
    def __init__(self, world: World, settings: FortSettings) -> None:
        super().__init__(world)
        self._settings = settings

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        if self._settings.token.reveal() != PASSWORD:
            raise AuthenticationError(
                "the guard does not know you", hint="`moorage login` asks again"
            )
        return super().list(page_token=page_token)


@hookimpl
def moorage_provider() -> ProviderInfo:
    return ProviderInfo(
        name="fort",
        summary="A cloud behind a wall",
        open=_open,
        settings=FortSettings,
        capabilities=EVERYTHING,
    )


def _open(settings: FortSettings, _context: OpenContext) -> Any:
    driver = MemoryDriver(World())
    driver.deployments = _Guarded(driver.native, settings)
    return driver
