"""The secret manager."""

import base64
import binascii
import re
from datetime import datetime
from typing import Any

from .call import Call, Route, optional_text, page_of, text_of
from .errors import ApiError, bad_request
from .state import ORGANIZATION_ID, USER_ID, Wire, found, newest_first

_S = "/secret-manager/organizations/{organization}/secrets"
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SUFFIX = re.compile(r"-.{6}$")
_PROVIDER = "aws-secret-manager"
_INTEGRATION = "abeja-platform-labs"


def _seconds(call: Call) -> str:
    return call.world.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(secret: Wire, *, values: bool) -> Wire:
    return {
        **secret,
        "versions": [_shown_version(version, values=values) for version in secret["versions"]],
    }


def _shown_version(version: Wire, *, values: bool) -> Wire:
    """Return a version; without the flag the value is left out, as the flag's name says."""
    return version if values else {k: v for k, v in version.items() if k != "value"}


def _of(call: Call) -> Wire:
    return found(call.world.secrets, "secret", call["secret"])


def _version_of(call: Call) -> Wire:
    versions = {version["id"]: version for version in _of(call)["versions"]}
    return found(versions, "secret version", call["version"])


def _value(body: dict[str, Any]) -> str:
    value = text_of(body, "value")
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        raise bad_request("value must be base64", field="value") from None
    return value


def _new_version(call: Call, secret_id: str, value: str, number: int) -> Wire:
    made = _seconds(call)
    return {
        "id": call.world.number(),
        "organization_id": ORGANIZATION_ID,
        "secret_id": secret_id,
        "value": value,
        "version": number,
        "status": "active",
        "provider": _PROVIDER,
        "created_at": made,
        "updated_at": made,
    }


def _details(body: dict[str, Any]) -> Wire:
    """Return what may be changed of a secret."""
    details: Wire = {}
    for name in ("description", "expired_at", "integration_service_type"):
        if body.get(name) is not None:
            details[name] = optional_text(body, name)
    if details.get("integration_service_type") not in {None, _INTEGRATION}:
        raise bad_request(
            f"integration_service_type must be {_INTEGRATION}", field="integration_service_type"
        )
    if details.get("expired_at"):
        try:
            moment = datetime.fromisoformat(details["expired_at"])
        except ValueError:
            raise bad_request("expired_at is not a time", field="expired_at") from None
        details["expired_at"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if body.get("integration_service_ids") is not None:
        details["integration_service_ids"] = list(body["integration_service_ids"])
    return details


async def create_secret(call: Call) -> Wire:
    """Make a secret with its first version."""
    body = await call.body()
    name = text_of(body, "name")
    if not _NAME.fullmatch(name) or _SUFFIX.search(name):
        raise bad_request("name is not allowed", field="name")
    if any(other["name"] == name for other in call.world.secrets.values()):
        raise ApiError(409, f"secret {name} already exists")
    value, details = _value(body), _details(body)
    made, secret_id = _seconds(call), call.world.number()
    secret: Wire = {
        "id": secret_id,
        "organization_id": ORGANIZATION_ID,
        "user_id": USER_ID,
        "name": name,
        "description": None,
        "properties": None,
        "provider": _PROVIDER,
        "rotation": False,
        "integration_service_type": None,
        "integration_service_ids": [],
        "expired_at": None,
        "created_at": made,
        "updated_at": made,
        "versions": [_new_version(call, secret_id, value, 1)],
        **details,
    }
    call.world.secrets[secret_id] = secret
    return secret


async def get_secrets(call: Call) -> Wire:
    """List secrets by pages."""
    secrets = list(call.world.secrets.values())
    page, offset, limit = page_of(call, secrets, 50)
    values = call.flag("return_secret_value")
    return {
        "organization_id": ORGANIZATION_ID,
        "secrets": [_shown(secret, values=values) for secret in page],
        "offset": offset,
        "limit": limit,
        "has_next": offset + len(page) < len(secrets),
    }


async def get_secret(call: Call) -> Wire:
    """Show one."""
    return _shown(_of(call), values=call.flag("return_secret_value"))


async def update_secret(call: Call) -> Wire:
    """Change what stands beside the value."""
    secret = _of(call)
    secret.update(_details(await call.body(optional=True)), updated_at=_seconds(call))
    return secret


async def delete_secret(call: Call) -> Wire:
    """Delete one with all its versions."""
    secret = _of(call)
    del call.world.secrets[secret["id"]]
    return {"message": f"secret_id {secret['id']} successfully deleted"}


async def create_secret_version(call: Call) -> Wire:
    """Add a value."""
    secret = _of(call)
    value = _value(await call.body())
    number = 1 + max((version["version"] for version in secret["versions"]), default=0)
    version = _new_version(call, secret["id"], value, number)
    secret["versions"].append(version)
    secret["updated_at"] = _seconds(call)
    return version


async def get_secret_versions(call: Call) -> Wire:
    """List the values of a secret by pages, newest first."""
    versions = newest_first(_of(call)["versions"])
    page, offset, limit = page_of(call, versions, 50)
    values = call.flag("return_secret_value")
    more = offset + len(page) < len(versions)
    return {
        "pagination": {
            "count": len(versions),
            "has_next": more,
            "limit": limit,
            "offset": offset,
        },
        "versions": [_shown_version(version, values=values) for version in page],
    }


async def get_secret_version(call: Call) -> Wire:
    """Show one value."""
    return _shown_version(_version_of(call), values=call.flag("return_secret_value"))


async def update_secret_version(call: Call) -> Wire:
    """Switch one on or off."""
    version = _version_of(call)
    status = text_of(await call.body(), "status")
    if status not in {"active", "inactive"}:
        raise bad_request('status must be "active" or "inactive"', field="status")
    version.update(status=status, updated_at=_seconds(call))
    return version


async def delete_secret_version(call: Call) -> Wire:
    """Delete one value."""
    secret, version = _of(call), _version_of(call)
    secret["versions"].remove(version)
    return {"message": f"secret_version_id {version['id']} successfully deleted"}


ROUTES: list[Route] = [
    ("POST", _S, create_secret),
    ("GET", _S, get_secrets),
    ("GET", f"{_S}/{{secret}}", get_secret),
    ("PATCH", f"{_S}/{{secret}}", update_secret),
    ("DELETE", f"{_S}/{{secret}}", delete_secret),
    ("POST", f"{_S}/{{secret}}/versions", create_secret_version),
    ("GET", f"{_S}/{{secret}}/versions", get_secret_versions),
    ("GET", f"{_S}/{{secret}}/versions/{{version}}", get_secret_version),
    ("PATCH", f"{_S}/{{secret}}/versions/{{version}}", update_secret_version),
    ("DELETE", f"{_S}/{{secret}}/versions/{{version}}", delete_secret_version),
]
