"""A fake of the cloud: an HTTP server on loopback that keeps everything in memory.

It is written from the API's documentation and not from `_wire.py`: what both got from the same
place would never disagree. Apps and jobs are real processes, so that what an app answers, writes
and does when it is killed is real too. It knows nothing of moorage but how to read an app.

`python -m moorage_nimbus.fake` runs it until it is interrupted.
"""

from ._server import FakeCloud

__all__ = ["FakeCloud"]
