"""Bentos with a portable app in them, as they are pushed."""

import io
import tarfile
from pathlib import Path
from typing import Any

JOBS = ("echo", "environment", "fail", "nap", "say")


def pack(app: Path) -> bytes:
    """Return a bento with a portable app in it, as an archive."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(app.parent, ".", recursive=False)
        tar.add(app, "./src")
        about = b"service: x:y\nname: probe\nversion: v1\n"
        info = tarfile.TarInfo("./bento.yaml")
        info.size = len(about)
        tar.addfile(info, io.BytesIO(about))
    return archive.getvalue()


def manifest(**changes: Any) -> dict[str, Any]:
    inputs = {"type": "object", "properties": {"input": {"title": "Input"}}}
    return {
        "entry_service": "probe",
        "services": [{"name": "probe", "service": ""}],
        "schema": {
            "name": "probe",
            "type": "service",
            "routes": [
                {
                    "name": job,
                    "route": f"/{job}",
                    "batchable": False,
                    "input": inputs,
                    "output": {},
                    "is_task": True,
                }
                for job in JOBS
            ],
        },
        **changes,
    }
