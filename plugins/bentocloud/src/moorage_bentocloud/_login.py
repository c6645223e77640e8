"""The login of BentoML's own command, to be taken over once and on request."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moorage.errors import ConfigError
from moorage.plugin import SecretValue

_FILE = ".yatai.yaml"
_LARGEST_BYTES = 1 << 20


def from_bentoml(context: str | None) -> Mapping[str, Any]:
    """Return the endpoint and the token of a context of BentoML.

    Args:
        context: Its name; `None` takes the one that `BENTOML_CLOUD_CONTEXT` names, else the current
            one, as BentoML does.

    Raises:
        ConfigError: BentoML is not logged in, or has no such context.
    """
    import yaml

    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    path = home / _FILE
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        raise ConfigError(
            f"BentoML is not logged in: there is no {path}",
            hint="`bentoml cloud login` makes it; BENTOML_HOME says where it is",
        ) from None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        known = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        # What the parser says may quote a token.
        raise ConfigError(f"{path} is not YAML", hint="log in with BentoML again") from None
    known = known if isinstance(known, dict) else {}
    contexts = {
        str(each["name"]): each
        for each in known.get("contexts") or []
        if isinstance(each, dict) and each.get("name")
    }
    chosen = context or os.environ.get("BENTOML_CLOUD_CONTEXT")
    wanted = chosen or str(known.get("current_context_name") or "")
    found = contexts.get(wanted)
    if found is None or not found.get("api_token"):
        raise ConfigError(
            f"BentoML has no login {wanted!r}" if wanted else "BentoML is not logged in",
            hint=f"it has {', '.join(contexts)}" if contexts else "`bentoml cloud login` makes one",
        )
    settings: dict[str, Any] = {"token": SecretValue(str(found["api_token"]))}
    if found.get("endpoint"):
        settings["endpoint"] = str(found["endpoint"])
    return settings
