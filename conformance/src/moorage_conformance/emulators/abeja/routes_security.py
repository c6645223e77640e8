"""Ranges of addresses from which the organization is reached; here they keep nobody out."""

import ipaddress
from typing import Any

from .call import Call, Route, optional_text, text_of
from .datalake import seconds_stamp
from .errors import bad_request
from .state import Wire, found

_C = "/organizations/{organization}/security/cidrs"


def _of(call: Call) -> Wire:
    return found(call.world.cidrs, "cidr", call["cidr"])


def _range(body: dict[str, Any]) -> str:
    text = text_of(body, "cidr")
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise bad_request(f"{text} is not a range of addresses", field="cidr") from None
    return text


async def create_cidr(call: Call) -> Wire:
    """Keep a range."""
    body, made = await call.body(), seconds_stamp(call.world)
    cidr: Wire = {
        "id": call.world.number(),
        "description": optional_text(body, "description") or "",
        "cidr": _range(body),
        "created_at": made,
        "updated_at": made,
    }
    call.world.cidrs[str(cidr["id"])] = cidr
    return cidr


async def get_cidrs(call: Call) -> Wire:
    """List them all."""
    return {"cidrs": list(call.world.cidrs.values())}


async def get_cidr(call: Call) -> Wire:
    """Show one."""
    return _of(call)


async def update_cidr(call: Call) -> Wire:
    """Change one; what the body does not name stays."""
    cidr, body = _of(call), await call.body(optional=True)
    changes: Wire = {"updated_at": seconds_stamp(call.world)}
    if "description" in body:
        changes["description"] = optional_text(body, "description") or ""
    if "cidr" in body:
        changes["cidr"] = _range(body)
    cidr.update(changes)
    return cidr


async def delete_cidr(call: Call) -> Wire:
    """Forget one and return it."""
    cidr = _of(call)
    del call.world.cidrs[cidr["id"]]
    return cidr


async def check_address(call: Call) -> Wire:
    """Tell whether an address is in one of the ranges; without ranges every address is welcome."""
    text = text_of(await call.body(), "ip_address")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise bad_request(f"{text} is not an address", field="ip_address") from None
    ranges = [
        ipaddress.ip_network(cidr["cidr"], strict=False) for cidr in call.world.cidrs.values()
    ]
    accessible = not ranges or any(address in known for known in ranges)
    return {"accessible": accessible, "ip_address": text}


ROUTES: list[Route] = [
    ("POST", _C, create_cidr),
    ("GET", _C, get_cidrs),
    ("POST", f"{_C}/check", check_address),
    ("GET", f"{_C}/{{cidr}}", get_cidr),
    ("PATCH", f"{_C}/{{cidr}}", update_cidr),
    ("DELETE", f"{_C}/{{cidr}}", delete_cidr),
]
