"""The version of every distribution in the workspace; all are released together."""

__version__ = "0.1.0"
