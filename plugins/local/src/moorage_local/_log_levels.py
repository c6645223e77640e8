"""How grave a line is, where the line says so itself."""

import re

import msgspec

from moorage.plugin import LogLevel

_WORDS = {
    "trace": LogLevel.DEBUG,
    "debug": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "notice": LogLevel.INFO,
    "warn": LogLevel.WARNING,
    "warning": LogLevel.WARNING,
    "err": LogLevel.ERROR,
    "error": LogLevel.ERROR,
    "critical": LogLevel.CRITICAL,
    "crit": LogLevel.CRITICAL,
    "fatal": LogLevel.CRITICAL,
    "alert": LogLevel.CRITICAL,
    "emergency": LogLevel.CRITICAL,
    "panic": LogLevel.CRITICAL,
}
# What comes before the level: a moment, in brackets or not, and the logger's name after a dash.
_MOMENT = r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?\]?"
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_LEVEL = re.compile(
    rf"(?:{_MOMENT}\s+)?(?:-\s+)?(?:[\w.]+ - )?"
    # In brackets in any case; bare in capitals, since "Error" begins many a sentence.
    rf"(?:\[\s*(?i:(?P<enclosed>{_WORD}))\s*\]|(?P<bare>{_WORD.upper()})(?=[:\s\]|-]|$))"
)
_PAIR = re.compile(rf"(?:^|\s)level=\"?(?i:({_WORD}))\b")


class _Line(msgspec.Struct):
    level: str | int | None = None
    severity: str | int | None = None
    levelname: str | None = None


_decode = msgspec.json.Decoder(_Line).decode


def level_of(message: str) -> LogLevel:
    """Return how grave a line says it is; `UNKNOWN` where it does not clearly say so."""
    if message.startswith("{"):
        return _level_in_json(message)
    match = _LEVEL.match(message)
    if match:
        return _WORDS[(match["enclosed"] or match["bare"]).lower()]
    if "level=" in message and (pair := _PAIR.search(message)):
        return _WORDS[pair[1].lower()]
    return LogLevel.UNKNOWN


def _level_in_json(message: str) -> LogLevel:
    try:
        line = _decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return LogLevel.UNKNOWN
    word = line.level if line.level is not None else line.severity or line.levelname
    if isinstance(word, int):  # as Python's `logging` counts
        return _WORDS["fatal"] if word >= 50 else _BY_TEN.get(word // 10, LogLevel.UNKNOWN)
    return _WORDS.get((word or "").lower(), LogLevel.UNKNOWN)


_BY_TEN = {1: LogLevel.DEBUG, 2: LogLevel.INFO, 3: LogLevel.WARNING, 4: LogLevel.ERROR}
