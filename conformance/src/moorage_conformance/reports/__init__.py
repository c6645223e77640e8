"""A report as people look at it: a page, a badge, a matrix, and what changed since another."""

from ._badge import badge
from ._difference import Difference, differences
from ._matrix import matrix_markdown, matrix_rows
from ._page import page
from ._schema import SCHEMA_FILE, schema

__all__ = [
    "SCHEMA_FILE",
    "Difference",
    "badge",
    "differences",
    "matrix_markdown",
    "matrix_rows",
    "page",
    "schema",
]
