"""The keys of a profile, as a provider package declares them."""

from typing import Any

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a provider's settings: one field for each key of a profile.

    A field of type `SecretValue` is a credential. Annotate fields with `setting`.
    """


def setting(
    description: str,
    *,
    destination: bool = False,
    trusted: bool = False,
    ambient: str | None = None,
) -> msgspec.Meta:
    """Describe a field of a settings struct.

    It stands in the field's annotation: `endpoint: Annotated[str, setting("The address.")]`.

    Args:
        description: One sentence for the reference.
        destination: Credentials travel to what it names (an endpoint, a proxy), so that it must
            come from a layer at least as trusted as theirs.
        trusted: It weakens or steers security (a CA bundle, plain HTTP), so that a project file
            may not set it.
        ambient: The variable by which the vendor's own tools read it; used last of all.
    """
    extra: dict[str, Any] = {"destination": destination, "trusted": trusted, "ambient": ambient}
    return msgspec.Meta(description=description, extra={"moorage": extra})
