"""What a profile can say: whether it is explained, and whether credentials stay at home."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._finding import Finding, failed, ok, warning

_SECRET = re.compile(r"(^|_)(token|password|passwd|secret|api_?key|access_?key|credentials?)$")
_PLACE = re.compile(r"(^|_)(endpoint|url|uri|host|hostname|base_?url|proxy)$")
_TRUST = re.compile(
    r"(^|_)(ca_bundle|ca_file|cafile|verify|verify_(tls|ssl)|insecure|allow_plain_http|skip_tls\w*)$"
)


def look_at_settings(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is to be said of a provider's settings."""
    check = "settings.fields"
    if settings["problem"]:
        yield failed(check, settings["problem"], "rename it, or give it another type")
        return
    fields: list[dict[str, Any]] = settings["fields"]
    findings = [finding for field in fields for finding in _field(field)]
    if not settings["strict"]:
        findings.append(
            failed(
                check,
                "the struct takes keys that it does not know, or can be changed",
                "write: class Settings(moorage.plugin.Settings, frozen=True, kw_only=True,"
                " forbid_unknown_fields=True)",
            )
        )
    # A proxy is where things pass, and may hold a password of its own.
    own = [field for field in fields if field["key"] != "proxy"]
    secrets = [field["key"] for field in own if field["secret"]]
    if secrets and not any(field["destination"] for field in own):
        findings.append(
            warning(
                "settings.destination",
                f"{secrets[0]} is a credential, and no setting says where it travels to",
                "mark the endpoint with setting(..., destination=True): then no project's file can"
                " send a user's credential elsewhere, and the suite can put its proxy before it",
            )
        )
    yield from findings
    if not findings:
        yield ok(check, ", ".join(field["key"] for field in fields) or "there are none")


def _field(field: Mapping[str, Any]) -> Iterator[Finding]:
    key: str = field["key"]
    if not field["description"].strip():
        yield failed(
            "settings.fields",
            f"nothing says what {key} is",
            f'write: {key}: Annotated[..., setting("One sentence.")]; `moorage providers show`'
            " prints it",
        )
    if _SECRET.search(key) and field["text"] and not field["secret"]:
        yield failed(
            "settings.secret",
            f"{key} is plain text, which is shown in errors, logs and `profiles explain`",
            "give it the type SecretValue of moorage.plugin",
        )
    if _PLACE.search(key) and not field["destination"]:
        yield failed(
            "settings.destination",
            f"{key} says where requests go and is not marked as a destination",
            "write: setting(..., destination=True); else a project's file could send a user's"
            " credential there",
        )
    if _TRUST.search(key) and not field["trusted"]:
        yield failed(
            "settings.trusted",
            f"{key} weakens what protects a connection and may be set by any project's file",
            "write: setting(..., trusted=True)",
        )
