"""JSON Schemas of the wire contract and of the Delta tables, written to `docs/schemas` or checked against it.

python -m coworkai.common.schemas docs/schemas          write them
python -m coworkai.common.schemas --check docs/schemas  fail when they differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from coworkai.common.events import MAX_RECORDS_PER_BATCH, RECORD_TYPES, BatchHeader, Source
from coworkai.common.tables import TABLES, markdown


def batch_schema(source: Source) -> dict[str, object]:
    """JSON Schema (2020-12) of a batch of `source`; of one CSV row for jobs."""
    record = RECORD_TYPES[source]
    (_header_ref, record_ref), definitions = msgspec.json.schema_components(
        (BatchHeader, record), ref_template="#/$defs/{name}"
    )
    schema: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"telemetry-{source.value}",
    }
    if source is Source.JOBS:
        return schema | {"$ref": record_ref["$ref"], "$defs": {record.__name__: definitions[record.__name__]}}
    header = definitions.pop("BatchHeader")
    # Drift is kept and counted, never refused, so a published schema must not refuse it either.
    for definition in definitions.values():
        definition.pop("additionalProperties", None)
    return schema | {
        "type": "object",
        "properties": header["properties"]
        | {"records": {"type": "array", "items": record_ref, "maxItems": MAX_RECORDS_PER_BATCH}},
        "required": [*header["required"], "records"],
        "$defs": definitions,
    }


def documents() -> dict[str, str]:
    """File name to content of everything generated from the contracts."""
    out = {
        f"{source.value}.schema.json": msgspec.json.format(
            msgspec.json.encode(batch_schema(source), order="sorted"), indent=2
        ).decode()
        + "\n"
        for source in Source
    }
    return out | {"tables.md": markdown(TABLES.values())}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="JSON Schemas and table reference from the declared contracts"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    args = parser.parse_args(argv)
    stale = []
    for name, content in documents().items():
        path: Path = args.folder / name
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    if args.check and stale:
        sys.stderr.write(f"out of date in {args.folder}: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
