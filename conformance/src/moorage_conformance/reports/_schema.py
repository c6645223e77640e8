"""The JSON Schema of `report.json`, which stands in the package as `report.schema.json`.

`python -m moorage_conformance.reports` writes it again after a change of the structs.
"""

from pathlib import Path

import msgspec

from .._report import SCHEMA_VERSION, Report

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def schema() -> bytes:
    """Return the schema that the structs have."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A conformance report of a moorage provider, version {SCHEMA_VERSION}",
        **msgspec.json.schema(Report),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
