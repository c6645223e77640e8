"""Two families of logs: ascending with a vanishing token, descending with two of them."""

from collections.abc import Sequence
from datetime import datetime

from .call import Call
from .errors import bad_request
from .state import Wire, stamp


def ascending(call: Call, events: Sequence[Wire]) -> Wire:
    """Answer `/logs`: oldest first; without a token when there is no more."""
    begin = _place(call.text("next_token"), "t") or 0
    picked, last = _picked(call, events, range(begin, len(events)))
    answer: Wire = {"events": picked}
    if last is not None:
        answer["next_token"] = f"t-{last + 1}"
    return answer


def descending(call: Call, events: Sequence[Wire]) -> Wire:
    """Answer `/recentlogs`: newest first, always with both tokens.

    Backward is taken to mean older, as the order suggests, and forward newer. A forward token at
    the head gives an empty page and a token that finds what is written later.
    """
    forward = _place(call.text("next_forward_token"), "f")
    backward = _place(call.text("next_backward_token"), "b")
    size = call.world.log_page
    if forward is not None:
        places = range(forward, min(forward + size, len(events)))
        low, high = places.start, max(places.start, places.stop)
    else:
        high = min(len(events) if backward is None else backward, len(events))
        low = max(0, high - size)
        places = range(low, high)
    since, until = call.moment("start_time"), call.moment("end_time")
    picked = [events[place] for place in places if _within(events[place], since, until)]
    return {
        "events": picked[::-1],
        "next_backward_token": f"b-{low}",
        "next_forward_token": f"f-{high}",
    }


def _picked(call: Call, events: Sequence[Wire], places: range) -> tuple[list[Wire], int | None]:
    """Return a page of events, and the place of its last one where there are more."""
    since, until = call.moment("start_time"), call.moment("end_time")
    picked: list[Wire] = []
    for place in places:
        if not _within(events[place], since, until):
            continue
        if len(picked) == call.world.log_page:
            return picked, place - 1
        picked.append(events[place])
    return picked, None


def _within(event: Wire, since: datetime | None, until: datetime | None) -> bool:
    at: str = event["timestamp"]  # of a fixed width, so that text compares as time does
    return (since is None or at >= stamp(since)) and (until is None or at < stamp(until))


def _place(token: str | None, kind: str) -> int | None:
    if token is None:
        return None
    begin, _, number = token.partition("-")
    if begin != kind or not number.isdecimal():
        raise bad_request(f"{token} is not a token of this log")
    return int(number)
