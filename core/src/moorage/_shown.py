"""Values as they can stand in a message."""


def shown(value: object) -> str:
    """Return a value quoted, in one line, with control characters escaped, and not endless.

    Where it is cut, it is cut in the middle, since the end tells one path from another.
    """
    text = repr(value)
    if len(text) <= 240:  # three lines of a terminal
        return text
    whole = len(value) if isinstance(value, str) else len(text)
    return f"{text[:80]}…{text[-120:]} ({whole} characters)"
