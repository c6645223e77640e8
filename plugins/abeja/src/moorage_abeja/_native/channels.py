"""Channels of the datalake: what they are."""

from collections.abc import Iterator, Sequence

from .._wire_storage import Channel, ChannelInfo, Channels, Datasources
from .noun import ORGANIZATION, Noun, archive_filter, given
from .paging import numbered

_CHANNELS = f"{ORGANIZATION}/channels"
_CHANNEL = f"{_CHANNELS}/{{channel_id}}"
_DATASOURCES = f"{_CHANNEL}/datasources"
_DATASOURCE = f"{_DATASOURCES}/{{datasource_id}}"


class ChannelsApi(Noun):
    """The channels of an organization."""

    def create_channel(
        self,
        name: str,
        description: str,
        storage_type: str = "datalake",
        *,
        organization_id: str | None = None,
    ) -> Channel:
        """Create a channel.

        Args:
            name: What people call it.
            description: What it is for.
            storage_type: `"datalake"` or `"file"`.
            organization_id: By default the client's.
        """
        body = {"name": name, "description": description, "storage_type": storage_type}
        return self._call("POST", _CHANNELS, Channel, organization_id, json=body)

    def list_channels(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        filter_archived: bool | None = None,
        organization_id: str | None = None,
    ) -> Channels:
        """Return a page of channels.

        Args:
            limit: At most this many.
            offset: How many to leave out.
            filter_archived: Whether to leave out what is archived; by default the platform
                decides.
            organization_id: By default the client's.
        """
        query = {
            "limit": limit,
            "offset": offset,
            "filter_archived": archive_filter(filter_archived),
        }
        return self._call("GET", _CHANNELS, Channels, organization_id, query=query)

    def iter_channels(
        self, *, filter_archived: bool | None = None, organization_id: str | None = None
    ) -> Iterator[ChannelInfo]:
        """Yield all channels, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[ChannelInfo], bool]:
            page = self.list_channels(
                offset=offset or None,
                filter_archived=filter_archived,
                organization_id=organization_id,
            )
            return page.channels, bool(page.has_next)

        return numbered(fetch)

    def get_channel(self, channel_id: str, *, organization_id: str | None = None) -> Channel:
        """Return one channel."""
        return self._call("GET", _CHANNEL, Channel, organization_id, {"channel_id": channel_id})

    def patch_channel(
        self,
        channel_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        organization_id: str | None = None,
    ) -> Channel:
        """Change what is said about a channel; an empty text clears a field."""
        body = given(name=name, description=description)
        ids = {"channel_id": channel_id}
        return self._call("PATCH", _CHANNEL, Channel, organization_id, ids, json=body)

    def archive_channel(self, channel_id: str, *, organization_id: str | None = None) -> Channel:
        """Put a channel away; there is no way to delete one."""
        ids = {"channel_id": channel_id}
        return self._call("POST", f"{_CHANNEL}/archive", Channel, organization_id, ids)

    def unarchive_channel(self, channel_id: str, *, organization_id: str | None = None) -> Channel:
        """Take a channel out again."""
        ids = {"channel_id": channel_id}
        return self._call("POST", f"{_CHANNEL}/unarchive", Channel, organization_id, ids)

    def list_channel_datasources(
        self, channel_id: str, *, organization_id: str | None = None
    ) -> Datasources:
        """Return what may write into a channel."""
        ids = {"channel_id": channel_id}
        return self._call("GET", _DATASOURCES, Datasources, organization_id, ids)

    def put_channel_datasource(
        self, channel_id: str, datasource_id: str, *, organization_id: str | None = None
    ) -> Datasources:
        """Let a data source write into a channel."""
        ids = {"channel_id": channel_id, "datasource_id": datasource_id}
        return self._call("PUT", _DATASOURCE, Datasources, organization_id, ids)

    def delete_channel_datasource(
        self, channel_id: str, datasource_id: str, *, organization_id: str | None = None
    ) -> Datasources:
        """Let a data source write into a channel no more."""
        ids = {"channel_id": channel_id, "datasource_id": datasource_id}
        return self._call("DELETE", _DATASOURCE, Datasources, organization_id, ids)
