"""Run the fake, and say on one line how to connect."""

import json
import signal
import sys
import tempfile
import threading
from pathlib import Path

from . import FakeCloud


def main() -> int:
    """Run until it is interrupted or told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as directory, FakeCloud(Path(directory)) as fake:
            ready = {
                "provider": "nimbus",
                "settings": {"endpoint": fake.url, "token": fake.token},
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
