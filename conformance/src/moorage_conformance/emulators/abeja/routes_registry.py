"""Repositories of images. The images themselves come by another protocol."""

from .call import Call, Route, optional_text, page_of, text_of
from .errors import ApiError
from .state import ORGANIZATION_ID, Wire, found

_G = "/organizations/{organization}/registry/repositories"


def _of(call: Call) -> Wire:
    return found(call.world.repositories, "repository", call["repository"])


async def create_repository(call: Call) -> Wire:
    """Make a repository."""
    body = await call.body()
    name = text_of(body, "name")
    if any(other["name"] == name for other in call.world.repositories.values()):
        raise ApiError(409, f"repository {name} already exists")
    made = call.world.stamp()
    repository: Wire = {
        "id": call.world.number(),
        "organization_id": ORGANIZATION_ID,
        "name": name,
        "description": optional_text(body, "description"),
        "tags": [],
        "creator": call.world.creator,
        "created_at": made,
        "updated_at": made,
    }
    call.world.repositories[str(repository["id"])] = repository
    return repository


async def get_repositories(call: Call) -> Wire:
    """List them by pages."""
    repositories = list(call.world.repositories.values())
    page, offset, limit = page_of(call, repositories, 10)
    return {
        **call.world.envelope,
        "offset": offset,
        "limit": limit,
        "has_next": offset + len(page) < len(repositories),
        "registry_repositories": page,
    }


async def get_repository(call: Call) -> Wire:
    """Show one."""
    return _of(call)


async def delete_repository(call: Call) -> Wire:
    """Delete one and return it."""
    repository = _of(call)
    del call.world.repositories[repository["id"]]
    return repository


async def get_repository_tags(call: Call) -> Wire:
    """List its tags by pages."""
    repository = _of(call)
    page, offset, limit = page_of(call, repository["tags"], 10)
    return {
        **call.world.envelope,
        "offset": offset,
        "limit": limit,
        "has_next": offset + len(page) < len(repository["tags"]),
        "registry_repository_id": repository["id"],
        "tags": page,
    }


ROUTES: list[Route] = [
    ("POST", _G, create_repository),
    ("GET", _G, get_repositories),
    ("GET", f"{_G}/{{repository}}", get_repository),
    ("DELETE", f"{_G}/{{repository}}", delete_repository),
    ("GET", f"{_G}/{{repository}}/tags", get_repository_tags),
]
