"""Secrets of the organization."""

from collections.abc import Mapping

import msgspec

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from moorage.plugin import Page, SecretState, SecretValue
from moorage.plugin import Secret as PortableSecret

from ._v1 import V1
from ._v2 import V2
from ._wire import CreateSecret, Secret, SecretContent, SecretItem, UpdateSecret

_PAGE_LENGTH = 100
_ENV = "env"


class Secrets:
    """Secrets of one account, in one of its clusters."""

    def __init__(self, api: V1, v2: V2, cluster: str | None, stage: str) -> None:
        self._api = api
        self._v2 = v2
        self._cluster = cluster
        self._stage = stage

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> PortableSecret:
        """Create a secret of variables, or replace all of its values.

        Raises:
            AlreadyExistsError: There is one of that name that is no set of variables.
        """
        found = self._find(name)
        stage: str | None = self._stage
        if found is not None:
            if found.content.type not in {_ENV, ""}:
                raise AlreadyExistsError(
                    f"secret {name!r} is of the type {found.content.type!r}, not {_ENV!r}",
                    hint="choose another name, or change it with the native client",
                )
            stage = found.content.stage or stage
        items = tuple(SecretItem(key=k, value=v.reveal()) for k, v in values.items())
        content = SecretContent(type=_ENV, items=items, stage=stage)
        if found is None:
            try:
                wanted = CreateSecret(name=name, content=content, description=description or "")
                return to_secret(self._api.create_secret(wanted, self._cluster))
            except AlreadyExistsError:
                found = self._find(name)  # somebody was faster
                if found is None:
                    raise
        kept = found.description if description is None else description
        update = UpdateSecret(content=content, description=kept)
        return to_secret(self._api.update_secret(name, update, self._cluster_of(found)))

    def get(self, name: str, /, *, reveal: bool) -> PortableSecret:
        """Return one secret, with its values where they are wanted.

        Raises:
            NotFoundError: There is none.
        """
        return to_secret(self._api.get_secret(name, self._cluster), reveal=reveal)

    def list(self, *, page_token: str | None) -> Page[PortableSecret]:
        """Return all secrets by name, without values, in one page: the cloud sorts none by name."""
        if page_token is not None:
            raise InvalidRequestError("this is no token of this listing")
        found: dict[str, Secret] = {}
        start = 0
        while True:
            page = self._api.list_secrets(count=_PAGE_LENGTH, start=start)
            found |= {secret.uid: secret for secret in page.items}
            start += len(page.items)
            if not page.items or start >= page.total:
                break
        ours = [secret for secret in found.values() if self._is_ours(secret)]
        return Page(items=tuple(map(to_secret, sorted(ours, key=lambda secret: secret.name))))

    def delete(self, name: str, /) -> None:
        """Delete a secret.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment uses it.
        """
        secret = self._api.get_secret(name, self._cluster)
        user = self._user_of(secret)
        if user is not None:
            raise ConflictError(
                f"secret {name!r} is used by deployment {user!r}",
                hint="update the deployment to go without it, or delete the deployment first",
            )
        self._api.delete_secret(name, self._cluster)

    def _user_of(self, secret: Secret) -> str | None:
        """Return a deployment that uses a secret, which the cloud itself does not look for."""
        cluster = secret.cluster.name if secret.cluster is not None else self._cluster
        start = 0
        while True:
            page = self._v2.list_deployment(cluster=cluster, count=_PAGE_LENGTH, start=start)
            for deployment in page.items:
                revision = deployment.latest_revision
                for target in revision.targets if revision is not None else ():
                    config = target.config if target is not None else None
                    if config is not None and secret.name in (config.secrets or ()):
                        return deployment.name
            start += len(page.items)
            if not page.items or start >= page.total:
                return None

    def _find(self, name: str) -> Secret | None:
        try:
            return self._api.get_secret(name, self._cluster)
        except NotFoundError:
            return None

    def _is_ours(self, secret: Secret) -> bool:
        if self._cluster is None or secret.cluster is None:
            return True
        return secret.cluster.name in {self._cluster, ""}

    def _cluster_of(self, secret: Secret) -> str | None:
        return self._cluster or (secret.cluster.name if secret.cluster is not None else None)


def to_secret(wire: Secret, *, reveal: bool = False) -> PortableSecret:
    """Translate; the values only where they are wanted."""
    items = wire.content.items
    return PortableSecret(
        id=wire.uid,
        name=wire.name,
        keys=tuple(sorted(item.key for item in items)),
        values={item.key: SecretValue(item.value) for item in items if item.value is not None}
        if reveal
        else {},
        description=wire.description,
        state=SecretState.READY,
        native_state=wire.content.type,
        created_at=wire.created_at,
        updated_at=wire.updated_at,
        raw=_raw(wire),
    )


def _raw(wire: Secret) -> object:
    hidden = tuple(msgspec.structs.replace(item, value=None) for item in wire.content.items)
    content = msgspec.structs.replace(wire.content, items=hidden)
    return msgspec.structs.replace(wire, content=content)
