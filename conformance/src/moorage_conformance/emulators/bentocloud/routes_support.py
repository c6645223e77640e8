"""What all routes use: the state behind them, and JSON."""

from typing import Any

import msgspec
from aiohttp import web

from .state import State

STATE: web.AppKey[State] = web.AppKey("state", State)

_encoder = msgspec.json.Encoder()


def state(request: web.Request) -> State:
    """Return what the emulator holds."""
    return request.config_dict[STATE]


def reply(content: Any) -> web.Response:
    """Return a success, which is always 200 here."""
    return web.Response(body=_encoder.encode(content), content_type="application/json")
