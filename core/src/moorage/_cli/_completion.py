"""What shells offer when a word is completed; nothing here asks the network."""


def profiles(incomplete: str) -> list[str]:
    """Return the names of profiles that begin like this."""
    from .._config import Config

    try:
        names = [profile.name for profile in Config.load().profiles()]
    except Exception:  # noqa: BLE001  # a completion has nobody to tell
        return []
    return [name for name in names if name.startswith(incomplete)]


def providers(incomplete: str) -> list[str]:
    """Return the names of installed providers that begin like this, importing none."""
    from importlib.metadata import entry_points

    names = {entry.name for entry in entry_points(group="moorage.providers")}
    return sorted(name for name in names if name.startswith(incomplete))
