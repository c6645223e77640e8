"""What ABEJA Platform answers about secrets, the datalake and the registry, in its own words."""

import base64
import binascii
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from moorage.errors import DecodeError
from moorage.plugin import SecretValue

from ._wire import Wire


class SecretVersion(Wire, frozen=True, kw_only=True):
    """One version of a secret's value."""

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    id: str
    organization_id: str | None = None
    secret_id: str | None = None

    value: str | None = None
    """The value in base64, as it travels; `reveal` decodes it."""

    version: int | None = None

    status: str | None = None
    """`active` or `inactive`."""

    provider: str | None = None
    created_at: str | None = None
    updated_at: str | None = None

    def reveal(self) -> SecretValue | None:
        """Return the value itself; `None` where the platform did not give it.

        Raises:
            DecodeError: It is not text in base64.
        """
        if self.value is None:
            return None
        try:
            return SecretValue(base64.b64decode(self.value, validate=True).decode())
        except (binascii.Error, ValueError):
            raise DecodeError(
                f"version {self.id} of secret {self.secret_id} is not text in base64",
                hint="it was stored by something else; read `value` as it is",
            ) from None  # the cause quotes bytes of the value


class Secret(Wire, frozen=True, kw_only=True):
    """One secret with its versions."""

    id: str
    organization_id: str | None = None
    user_id: str | None = None
    name: str = ""
    description: str | None = None
    properties: Any = None
    provider: str | None = None
    rotation: bool | None = None
    integration_service_type: str | None = None
    integration_service_ids: tuple[str, ...] | None = None
    expired_at: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    versions: tuple[SecretVersion, ...] | None = None


class Secrets(Wire, frozen=True, kw_only=True):
    """A page of secrets."""

    organization_id: str | None = None
    secrets: tuple[Secret, ...] = ()
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


class Pagination(Wire, frozen=True, kw_only=True):
    """Which page it is."""

    count: int | None = None
    has_next: bool | None = None
    limit: int | None = None
    offset: int | None = None


class SecretVersions(Wire, frozen=True, kw_only=True):
    """A page of a secret's versions."""

    versions: tuple[SecretVersion, ...] = ()
    pagination: Pagination | None = None


class ChannelInfo(Wire, frozen=True, kw_only=True):
    """One channel of the datalake."""

    channel_id: str
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    storage_type: str | None = None
    archived: bool | None = None
    security_method: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Organization(Wire, frozen=True, kw_only=True):
    """Whose something is."""

    organization_id: str | None = None
    organization_name: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Channel(Organization, frozen=True, kw_only=True):
    """A channel, and whose it is."""

    channel: ChannelInfo | None = None


class Channels(Organization, frozen=True, kw_only=True):
    """A page of channels."""

    channels: tuple[ChannelInfo, ...] = ()
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


class Datasource(Wire, frozen=True, kw_only=True):
    """What may write into a channel."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})

    datasource_id: str | None = None
    display_name: str | None = None
    secret: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Datasources(Channel, frozen=True, kw_only=True):
    """All data sources of a channel."""

    datasources: tuple[Datasource, ...] = ()
    datasource: Datasource | None = None
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


def _decoded(metadata: dict[str, Any] | None) -> dict[str, Any]:
    return {
        unquote(key): unquote(value) if isinstance(value, str) else value
        for key, value in (metadata or {}).items()
    }


class ChannelFile(Wire, frozen=True, kw_only=True):
    """One file of a channel."""

    hidden: ClassVar[frozenset[str]] = frozenset({"download_uri", "download_url", "upload_url"})
    same: ClassVar[tuple[tuple[str, ...], ...]] = (("download_uri", "download_url"),)

    file_id: str | None = None
    content_type: str | None = None

    metadata: dict[str, Any] | None = None
    """By names that begin with `x-abeja-meta-`; decoded."""

    uploaded_at: str | None = None
    lifetime: str | None = None
    url_expires_on: str | None = None

    download_uri: str | None = None
    """Where it is fetched from; a secret itself. The same as `download_url`."""

    download_url: str | None = None
    """The same as `download_uri`."""

    upload_url: str | None = None
    """Where it is sent to, where that was asked for; a secret itself."""

    channel_id: str | None = None

    def __post_init__(self) -> None:
        """Decode the metadata, too."""
        super().__post_init__()
        if self.metadata:
            msgspec.structs.force_setattr(self, "metadata", _decoded(self.metadata))

    def meta(self, name: str) -> str | None:
        """Return one item of the metadata by its name without the prefix, in any case."""
        wanted = f"x-abeja-meta-{name}".lower()
        for key, value in (self.metadata or {}).items():
            if key.lower() == wanted:
                return str(value)
        return None


class ChannelFiles(Wire, frozen=True, kw_only=True):
    """A page of a channel's files."""

    files: tuple[ChannelFile, ...] = ()
    next_page_token: str | None = None


class BucketInfo(Wire, frozen=True, kw_only=True):
    """One bucket."""

    bucket_id: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    archived: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Bucket(Organization, frozen=True, kw_only=True):
    """A bucket, and whose it is."""

    bucket: BucketInfo | None = None
    bucket_id: str | None = None
    name: str | None = None
    description: str | None = None
    archived: bool | None = None


class Buckets(Organization, frozen=True, kw_only=True):
    """A page of buckets."""

    buckets: tuple[BucketInfo, ...] = ()
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


class BucketFile(Wire, frozen=True, kw_only=True):
    """One file of a bucket, or a directory."""

    hidden: ClassVar[frozenset[str]] = frozenset({"download_uri", "download_url"})
    same: ClassVar[tuple[tuple[str, ...], ...]] = (("download_uri", "download_url"),)

    file_id: str | None = None
    size: int | None = None
    etag: str | None = None
    is_file: bool | None = None
    metadata: dict[str, Any] | None = None
    last_modified: str | None = None
    uploaded_at: str | None = None
    url_expires_on: str | None = None
    download_uri: str | None = None
    download_url: str | None = None

    def __post_init__(self) -> None:
        """Decode the metadata, too."""
        super().__post_init__()
        if self.metadata:
            msgspec.structs.force_setattr(self, "metadata", _decoded(self.metadata))


class BucketFiles(Wire, frozen=True, kw_only=True):
    """A page of a bucket's files."""

    files: tuple[BucketFile, ...] = ()
    last_file_id: str | None = None


class RegistryTag(Wire, frozen=True, kw_only=True):
    """One tag of a repository."""

    id: int | str | None = None
    name: str | None = None
    size: int | None = None
    digest: str | None = None
    media_type: str | None = None
    creator: Any = None
    created_at: str | None = None
    updated_at: str | None = None


class Repository(Wire, frozen=True, kw_only=True):
    """One repository of images."""

    id: str
    organization_id: str | None = None
    name: str = ""
    description: str | None = None
    tags: tuple[RegistryTag, ...] | None = None
    creator: Any = None
    created_at: str | None = None
    updated_at: str | None = None


class Repositories(Organization, frozen=True, kw_only=True):
    """A page of repositories."""

    registry_repositories: tuple[Repository, ...] = ()
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


class RepositoryTags(Wire, frozen=True, kw_only=True):
    """A page of a repository's tags."""

    registry_repository_id: str | None = None
    tags: tuple[RegistryTag, ...] = ()
    offset: int | None = None
    limit: int | None = None
    has_next: bool | None = None


class Dataset(Wire, frozen=True, kw_only=True):
    """One data set: annotated items."""

    dataset_id: str | None = None
    organization_id: str | None = None
    name: str | None = None
    type: str | None = None
    props: Any = None
    total_count: int | None = None
    created_at: str | None = None
    updated_at: str | None = None


class DatasetItem(Wire, frozen=True, kw_only=True):
    """One item of a data set."""

    dataset_item_id: int | str | None = None
    dataset_id: str | None = None
    organization_id: str | None = None
    source_data: Any = None
    attributes: Any = None
    created_at: str | None = None
    updated_at: str | None = None


class DatasetItems(Wire, frozen=True, kw_only=True):
    """A page of a data set's items."""

    items: tuple[DatasetItem, ...] = ()
    next_page_token: str | None = None
    total_count: int | None = None


class IpAddress(Wire, frozen=True, kw_only=True):
    """A range of addresses that may reach the organization."""

    id: str | int | None = None
    description: str | None = None
    cidr: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class IpAddresses(Wire, frozen=True, kw_only=True):
    """All ranges of an organization."""

    cidrs: tuple[IpAddress, ...] = ()
