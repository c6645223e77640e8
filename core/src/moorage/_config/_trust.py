"""Which layer may decide where a credential goes.

**What is defended.** A user has credentials: in their own file, in variables, in the keyring, in
programs such as `pass`. They check out a repository that somebody else wrote and run a moorage
command in it. The `moorage.toml` of that repository is read, and it must not be able to make the
command send a credential to anybody but whom the user meant it for, run a program, read a file of
the user's, or weaken how a connection is made.

**Who is trusted.** Arguments, variables, the user's file and the provider package are the user's
own word. The project's file is not, whoever owns it: it came with the checkout.

**What a project's file may do.** Choose one of the user's profiles, which then brings its own
provider, endpoint and credentials. Set settings that neither steer nor weaken anything. Lower
capabilities. Refer to a credential by variable or keyring item, which is then treated as the
user's, since that is whose it is.

**What it may not do.**

1. Set a `destination` (an endpoint, a proxy) that a credential would travel to, unless a trusted
   layer says the same. Every credential is the user's, so this holds for all of them.
2. Choose a provider, and with it its built-in endpoint, for a credential that is not bound to
   that provider: one from an argument, from `MOORAGE_<KEY>`, from `[defaults]` or by a reference
   of its own. A vendor's own variable is bound to that vendor, and a profile to its provider.
3. Give a provider to a profile of the user's that names none.
4. Set what is `trusted`: a CA bundle, plain HTTP, a directory to write to.
5. Run a program, read a file, or use a plugin's reference to find a credential.
6. Hold a credential. Next to the user's endpoint it would make the user work in the account of
   whoever wrote the file.

Credentials are neither read nor asked for before these rules have been checked.

**What is left.** A project can choose among the user's profiles, and can give a provider that the
user has configured another one of the user's variables or keyring items as its credential. The
user's file is believed when it belongs to the user or root and not everybody can write it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from ._layers import Candidate
from ._origin import Layer
from ._reference import SecretReference
from ._schema import SettingField
from ._selection import Selection


def check_setting(field: SettingField, winner: Candidate) -> None:
    """Check that a setting is one that its layer may set.

    Raises:
        ConfigError: It is not.
    """
    if field.trusted and not winner.origin.layer.trusted:
        raise ConfigError(
            f"{winner.place}: a project's file may not set {field.key!r}",
            hint=f"put it into a profile of your own file, or set {field.variable}",
        )


def check_credentials(
    selection: Selection,
    credentials: Iterable[tuple[SettingField, Candidate]],
    destinations: Iterable[tuple[SettingField, Candidate, bool]],
) -> None:
    """Check that each credential goes where a layer of the user's sends it.

    Args:
        selection: Who chose the provider.
        credentials: The credentials that would be sent.
        destinations: What they would be sent to, and whether a trusted layer says the same.

    Raises:
        ConfigError: A project's file would send a credential somewhere.
    """
    sent = list(credentials)
    for field, winner, confirmed in destinations:
        if winner.origin.layer.trusted or confirmed or not sent:
            continue
        credential, source = sent[0]
        raise ConfigError(
            f"{winner.place} would be sent the credential {credential.key!r} of {source.origin},"
            " and a project's file may not choose where a credential goes",
            hint=f"if you trust that {field.key}, say the same in your own file, set"
            f" {field.variable} or pass it as an argument; or remove it from the project's file",
        )
    if selection.profile is not None or selection.origin.layer.trusted:
        return
    for credential, source in sent:
        if source.origin.layer is not Layer.AMBIENT:
            raise ConfigError(
                f"{selection.origin}: provider {selection.provider!r}, which a project's file"
                f" chose, would be sent the credential {credential.key!r} of {source.origin}",
                hint=f"if it is meant for that provider, set MOORAGE_PROVIDER={selection.provider}"
                " or choose a profile of yours",
            )


def is_present(value: Any) -> bool:
    """Tell whether a parsed credential is one, or holds one."""
    if isinstance(value, Mapping):
        return any(map(is_present, value.values()))
    if isinstance(value, list):
        return any(map(is_present, value))
    return isinstance(value, SecretReference) or value is not None
