"""Write the JSON Schema of `report.json` again, after a change of the structs."""

from ._schema import SCHEMA_FILE, schema

SCHEMA_FILE.write_bytes(schema())
