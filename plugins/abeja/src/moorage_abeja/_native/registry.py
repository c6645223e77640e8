"""The registry of images."""

from collections.abc import Iterator, Sequence

from .._wire_storage import RegistryTag, Repositories, Repository, RepositoryTags
from .noun import ORGANIZATION, Noun, given
from .paging import numbered

_REPOSITORIES = f"{ORGANIZATION}/registry/repositories"
_REPOSITORY = f"{_REPOSITORIES}/{{repository_id}}"


class RegistryApi(Noun):
    """The repositories of an organization. Images are pushed by Docker, not here."""

    def create_repository(
        self, name: str, description: str | None = None, *, organization_id: str | None = None
    ) -> Repository:
        """Create a repository."""
        body = {"name": name, **given(description=description)}
        return self._call("POST", _REPOSITORIES, Repository, organization_id, json=body)

    def get_repositories(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        organization_id: str | None = None,
    ) -> Repositories:
        """Return a page of repositories."""
        query = {"limit": limit, "offset": offset}
        return self._call("GET", _REPOSITORIES, Repositories, organization_id, query=query)

    def iter_repositories(self, *, organization_id: str | None = None) -> Iterator[Repository]:
        """Yield all repositories, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[Repository], bool]:
            page = self.get_repositories(offset=offset or None, organization_id=organization_id)
            return page.registry_repositories, bool(page.has_next)

        return numbered(fetch)

    def get_repository(
        self, repository_id: str, *, organization_id: str | None = None
    ) -> Repository:
        """Return one repository."""
        ids = {"repository_id": repository_id}
        return self._call("GET", _REPOSITORY, Repository, organization_id, ids)

    def delete_repository(
        self, repository_id: str, *, organization_id: str | None = None
    ) -> Repository:
        """Delete a repository and return what it was."""
        ids = {"repository_id": repository_id}
        return self._call("DELETE", _REPOSITORY, Repository, organization_id, ids)

    def get_repository_tags(
        self,
        repository_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        organization_id: str | None = None,
    ) -> RepositoryTags:
        """Return a page of a repository's tags."""
        ids = {"repository_id": repository_id}
        query = {"limit": limit, "offset": offset}
        path = f"{_REPOSITORY}/tags"
        return self._call("GET", path, RepositoryTags, organization_id, ids, query=query)

    def iter_repository_tags(
        self, repository_id: str, *, organization_id: str | None = None
    ) -> Iterator[RegistryTag]:
        """Yield all tags of a repository, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[RegistryTag], bool]:
            page = self.get_repository_tags(
                repository_id, offset=offset or None, organization_id=organization_id
            )
            return page.tags, bool(page.has_next)

        return numbered(fetch)
