"""The emulator of Konigle's cloud.

It has the API's computers, web apps, spaces, jobs and uploads, in the shapes that the cloud's own
client and command line read. What the cloud's documentation leaves open is decided here one way;
the attributes of `KonigleEmulator` change some of it.
"""

from .emulator import KonigleEmulator
from .resources import Computer, Job, Space, WebApp

__all__ = ["Computer", "Job", "KonigleEmulator", "Space", "WebApp"]
