"""Configuration: profiles, where each value comes from, and who may be sent a credential."""

from ._configuration import Config
from ._environment import RESERVED
from ._explanation import Explanation, Resolution, ResolvedValue, ShadowedValue
from ._origin import Layer, ValueOrigin
from ._profile import ProfileSummary
from ._selection import Selection

__all__ = [
    "RESERVED",
    "Config",
    "Explanation",
    "Layer",
    "ProfileSummary",
    "Resolution",
    "ResolvedValue",
    "Selection",
    "ShadowedValue",
    "ValueOrigin",
]
