"""What passed the wire in words that may be shown."""

import re
from collections.abc import Callable, Iterable, Iterator

from .faults import Conversation, Tape
from .outcomes import Exchange

_SECRET_NAME = re.compile(
    r"(?i)auth|cookie|token|secret|password|passwd|credential|api[_-]?key|signature"
)
_SECRET_FIELD = re.compile(
    r"""(?ix)
    ("(?:[^"\\]*(?:token|secret|password|passwd|credential|api[_-]?key|signature)[^"\\]*
       |value|auth)"\s*:\s*)"(?:[^"\\]|\\.)*"?
    """
)
_SHOWN_CHARS = 4000
_FIRST, _LAST = 5, 25


def transcript(
    conversations: Iterable[Conversation], clean: Callable[[str], str]
) -> tuple[Exchange, ...]:
    """Return requests and replies as a report shows them, without anything secret.

    Args:
        conversations: What passed.
        clean: Masks every value that is known to be secret.
    """
    found = list(conversations)
    left_out = max(0, len(found) - _FIRST - _LAST)
    kept = [*found[:_FIRST], *found[_FIRST + left_out :]]
    return tuple(_exchange(conversation, clean) for conversation in kept)


def _exchange(conversation: Conversation, clean: Callable[[str], str]) -> Exchange:
    passage = conversation.passage
    return Exchange(
        method=passage.method,
        target=clean(passage.target),
        status=passage.status,
        faults=tuple(passage.faults),
        delivered=passage.delivered,
        request=_text(conversation.request, clean),
        reply=_text(conversation.reply, clean),
    )


def _text(tape: Tape, clean: Callable[[str], str]) -> str:
    lines = [clean(line) for line in _head_lines(tape.head.decode("latin-1"))]
    body = _body_text(tape, clean)
    return "\n".join([*lines, "", body] if body else lines)


def _head_lines(head: str) -> Iterator[str]:
    for number, line in enumerate(head.splitlines()):
        name, colon, _ = line.partition(":")
        if number and colon and _SECRET_NAME.search(name):
            yield f"{name}: ***"
        elif line:
            yield line


def _body_text(tape: Tape, clean: Callable[[str], str]) -> str:
    """Return a body that is text, its beginning at least; of another one only the size."""
    if not tape.body_bytes:
        return ""
    try:
        # What was kept may end within a character.
        text = tape.body.decode(
            "utf-8", "strict" if tape.body_bytes == len(tape.body) else "ignore"
        )
    except UnicodeDecodeError:
        return f"({tape.body_bytes} bytes)"
    if "\0" in text:
        return f"({tape.body_bytes} bytes)"
    # Masked before it is cut, so that no beginning of a secret is left at the end.
    text = clean(_SECRET_FIELD.sub(r'\1"***"', text))
    if len(text) > _SHOWN_CHARS or tape.body_bytes > len(tape.body):
        return f"{text[:_SHOWN_CHARS]}\n... ({tape.body_bytes} bytes in all)"
    return text
