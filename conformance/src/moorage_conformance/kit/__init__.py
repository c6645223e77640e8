"""What helps to write a provider package: one to start from, and a look at what is wrong."""

from ._names import PluginNames
from ._template import write_plugin

__all__ = ["PluginNames", "write_plugin"]
