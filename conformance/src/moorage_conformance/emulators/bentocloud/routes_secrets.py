"""Secrets and tokens."""

from aiohttp import web

from .._incoming import query_text
from .listing import list_page
from .requests import CreateSecret, CreateToken, UpdateSecret, body
from .routes_support import reply, state
from .state_secrets import Secret, Token

_SECRETS = "/api/v1/org_secrets"
_TOKENS = "/api/v1/api_tokens"


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    router.add_get(_SECRETS, _secrets, allow_head=False)
    router.add_post(_SECRETS, _create_secret)
    router.add_get(_SECRETS + "/{name}", _secret, allow_head=False)
    router.add_patch(_SECRETS + "/{name}", _update_secret)
    router.add_delete(_SECRETS + "/{name}", _delete_secret)
    router.add_get(_TOKENS, _tokens, allow_head=False)
    router.add_post(_TOKENS, _create_token)
    router.add_get(_TOKENS + "/{uid}", _token, allow_head=False)
    router.add_delete(_TOKENS + "/{uid}", _delete_token)


async def _secrets(request: web.Request) -> web.Response:
    held = state(request)
    found = held.secrets.newest_first()
    return reply(list_page(request, found, held.secrets.view, held.behaviour))


async def _create_secret(request: web.Request) -> web.Response:
    held = state(request)
    wanted = await body(request, CreateSecret)
    made = held.secrets.create(held.cluster(query_text(request, "cluster")), wanted)
    return reply(held.secrets.view(made))


async def _secret(request: web.Request) -> web.Response:
    return reply(state(request).secrets.view(_found(request)))


async def _update_secret(request: web.Request) -> web.Response:
    found = _found(request)
    found.update(await body(request, UpdateSecret))
    return reply(state(request).secrets.view(found))


async def _delete_secret(request: web.Request) -> web.Response:
    held, found = state(request), _found(request)
    held.secrets.delete(found.cluster, found.name)
    return reply(held.secrets.view(found))


def _found(request: web.Request) -> Secret:
    held = state(request)
    cluster = held.cluster(query_text(request, "cluster"))
    return held.secrets.get(cluster, request.match_info["name"])


async def _tokens(request: web.Request) -> web.Response:
    held = state(request)
    found = list(reversed(held.tokens.tokens.values()))
    return reply(list_page(request, found, Token.view, held.behaviour))


async def _create_token(request: web.Request) -> web.Response:
    made = state(request).tokens.create(await body(request, CreateToken))
    return reply(made.view(reveal=True))


async def _token(request: web.Request) -> web.Response:
    return reply(state(request).tokens.get(request.match_info["uid"]).view())


async def _delete_token(request: web.Request) -> web.Response:
    tokens = state(request).tokens
    found = tokens.get(request.match_info["uid"])
    del tokens.tokens[found.uid]
    return reply(found.view())
