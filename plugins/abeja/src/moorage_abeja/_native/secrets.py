"""Secrets and their versions."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from moorage.errors import InvalidRequestError
from moorage.plugin import SecretValue

from .._wire import Message
from .._wire_storage import Secret, Secrets, SecretVersion, SecretVersions
from .noun import Noun, check_given, given
from .paging import numbered

_SECRETS = "/secret-manager/organizations/{organization_id}/secrets"
_SECRET = f"{_SECRETS}/{{secret_id}}"
_VERSIONS = f"{_SECRET}/versions"
_VERSION = f"{_VERSIONS}/{{version_id}}"

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SUFFIX = re.compile(r".*-.{6}")
_INTEGRATIONS = frozenset({"abeja-platform-labs"})
_LIMIT = 100


class SecretsApi(Noun):
    """The secrets of an organization.

    A value travels in base64 and is in that form in what is returned, hidden where it is printed;
    `SecretVersion.reveal` decodes it. Reading gives values only where `return_secret_value` asks
    for them.
    """

    def get_secrets(
        self,
        offset: int | None = 0,
        limit: int | None = 50,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> Secrets:
        """Return a page of secrets.

        Args:
            offset: How many to leave out.
            limit: At most this many, 1 to 100.
            return_secret_value: Whether to give the values, too.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: A number is out of range.
        """
        self._check_ids(organization_id)
        query = _page_query(offset, limit, return_secret_value=return_secret_value)
        return self._call("GET", _SECRETS, Secrets, organization_id, query=query)

    def iter_secrets(
        self, *, return_secret_value: bool = False, organization_id: str | None = None
    ) -> Iterator[Secret]:
        """Yield all secrets, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[Secret], bool]:
            page = self.get_secrets(
                offset,
                _LIMIT,
                return_secret_value=return_secret_value,
                organization_id=organization_id,
            )
            return page.secrets, bool(page.has_next)

        return numbered(fetch)

    def get_secret(
        self,
        secret_id: str,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> Secret:
        """Return one secret with its versions, and their values only where they are asked for."""
        ids = self._check_ids(organization_id, secret_id=secret_id)
        query = _value_query(return_secret_value=return_secret_value)
        return self._call("GET", _SECRET, Secret, organization_id, ids, query=query)

    def create_secret(
        self,
        name: str,
        value: SecretValue | str,
        *,
        description: str | None = None,
        expired_at: datetime | str | None = None,
        integration_service_type: str | None = None,
        integration_service_ids: Iterable[str] | None = None,
        organization_id: str | None = None,
    ) -> Secret:
        """Store a secret and return it.

        Args:
            name: ASCII letters, digits, `_` and `-`; unique in the organization. It must not end
                with a hyphen and six characters.
            value: Text.
            description: What it is for.
            expired_at: When it ends to be valid; with an offset from UTC.
            integration_service_type: `"abeja-platform-labs"`.
            integration_service_ids: What it is given to.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The name or the value cannot be used; nothing was sent.
        """
        self._check_ids(organization_id)
        check_given(name=name)
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{name!a} cannot be the name of a secret",
                hint="use ASCII letters, digits, '_' and '-'",
                fields={"name": "not such a name"},
            )
        if _SUFFIX.fullmatch(name):
            raise InvalidRequestError(
                f"{name!r} ends with a hyphen and six characters, which the platform keeps for"
                " itself",
                hint="use an underscore",
                fields={"name": "a hyphen and six characters at the end"},
            )
        body = {
            "name": name,
            "value": _encoded(value),
            **_described(
                description or None,
                expired_at or None,
                integration_service_type or None,
                list(integration_service_ids or ()) or None,
            ),
        }
        return self._call("POST", _SECRETS, Secret, organization_id, json=body)

    def update_secret(
        self,
        secret_id: str,
        *,
        description: str | None = None,
        expired_at: datetime | str | None = None,
        integration_service_type: str | None = None,
        integration_service_ids: Iterable[str] | None = None,
        organization_id: str | None = None,
    ) -> Secret:
        """Change what is said about a secret; an empty text or list clears a field.

        Its value is changed by a new version.
        """
        ids = self._check_ids(organization_id, secret_id=secret_id)
        body = _described(
            description, expired_at, integration_service_type, integration_service_ids
        )
        return self._call("PATCH", _SECRET, Secret, organization_id, ids, json=body)

    def delete_secret(self, secret_id: str, *, organization_id: str | None = None) -> Message:
        """Delete a secret with all its versions."""
        ids = self._check_ids(organization_id, secret_id=secret_id)
        return self._call("DELETE", _SECRET, Message, organization_id, ids)

    def get_secret_versions(
        self,
        secret_id: str,
        offset: int | None = 0,
        limit: int | None = 50,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> SecretVersions:
        """Return a page of a secret's versions; the arguments are those of `get_secrets`."""
        ids = self._check_ids(organization_id, secret_id=secret_id)
        query = _page_query(offset, limit, return_secret_value=return_secret_value)
        return self._call("GET", _VERSIONS, SecretVersions, organization_id, ids, query=query)

    def iter_secret_versions(
        self,
        secret_id: str,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> Iterator[SecretVersion]:
        """Yield all versions of a secret, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[SecretVersion], bool]:
            page = self.get_secret_versions(
                secret_id,
                offset,
                _LIMIT,
                return_secret_value=return_secret_value,
                organization_id=organization_id,
            )
            return page.versions, bool(page.pagination and page.pagination.has_next)

        return numbered(fetch)

    def get_secret_version(
        self,
        secret_id: str,
        version_id: str,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> SecretVersion:
        """Return one version of a secret."""
        ids = self._check_ids(organization_id, secret_id=secret_id, version_id=version_id)
        query = _value_query(return_secret_value=return_secret_value)
        return self._call("GET", _VERSION, SecretVersion, organization_id, ids, query=query)

    def create_secret_version(
        self,
        secret_id: str,
        value: SecretValue | str,
        *,
        return_secret_value: bool = False,
        organization_id: str | None = None,
    ) -> SecretVersion:
        """Give a secret another value."""
        ids = self._check_ids(organization_id, secret_id=secret_id)
        query = _value_query(return_secret_value=return_secret_value)
        body = {"value": _encoded(value)}
        return self._call(
            "POST", _VERSIONS, SecretVersion, organization_id, ids, json=body, query=query
        )

    def update_secret_version(
        self,
        secret_id: str,
        version_id: str,
        status: str,
        *,
        organization_id: str | None = None,
    ) -> SecretVersion:
        """Make a version `active` or `inactive`."""
        ids = self._check_ids(organization_id, secret_id=secret_id, version_id=version_id)
        check_given(status=status)
        if status not in {"active", "inactive"}:
            raise InvalidRequestError(
                f"a version is active or inactive, not {status!r}", fields={"status": "unknown"}
            )
        body = {"status": status}
        return self._call("PATCH", _VERSION, SecretVersion, organization_id, ids, json=body)

    def delete_secret_version(
        self, secret_id: str, version_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete one version of a secret."""
        ids = self._check_ids(organization_id, secret_id=secret_id, version_id=version_id)
        return self._call("DELETE", _VERSION, Message, organization_id, ids)

    def _check_ids(self, organization_id: str | None, **ids: str) -> dict[str, str | int]:
        if organization_id is not None:
            check_given(organization_id=organization_id)
        check_given(**ids)
        return dict(ids)


def _encoded(value: SecretValue | str) -> str:
    text = value.reveal() if isinstance(value, SecretValue) else value
    check_given(value=text)
    return base64.b64encode(text.encode()).decode("ascii")


def _value_query(*, return_secret_value: bool) -> dict[str, bool | None]:
    return {"return_secret_value": True if return_secret_value else None}


def _page_query(
    offset: int | None, limit: int | None, *, return_secret_value: bool
) -> dict[str, int | bool | None]:
    offset = 0 if offset is None else offset
    limit = 50 if limit is None else limit
    if offset < 0:
        raise InvalidRequestError(
            "offset is a number from 0 on", fields={"offset": "a number from 0 on"}
        )
    if not 1 <= limit <= _LIMIT:
        raise InvalidRequestError(
            f"limit is a number from 1 to {_LIMIT}", fields={"limit": f"1 to {_LIMIT}"}
        )
    query: dict[str, int | bool | None] = {"offset": offset, "limit": limit}
    return {**query, **_value_query(return_secret_value=return_secret_value)}


def _described(
    description: str | None,
    expired_at: datetime | str | None,
    integration_service_type: str | None,
    integration_service_ids: Iterable[str] | None,
) -> dict[str, object]:
    if isinstance(expired_at, datetime):
        if expired_at.utcoffset() is None:
            raise InvalidRequestError(
                "expired_at needs an offset from UTC",
                hint="datetime.now(timezone.utc) has one",
                fields={"expired_at": "no offset from UTC"},
            )
        expired_at = expired_at.isoformat()
    if integration_service_type and integration_service_type not in _INTEGRATIONS:
        raise InvalidRequestError(
            f"{integration_service_type!r} is not a service that secrets are integrated with",
            hint=f"use {', '.join(_INTEGRATIONS)}",
            fields={"integration_service_type": "unknown"},
        )
    return given(
        expired_at=expired_at,
        description=description,
        integration_service_type=integration_service_type,
        integration_service_ids=None
        if integration_service_ids is None
        else list(integration_service_ids),
    )
