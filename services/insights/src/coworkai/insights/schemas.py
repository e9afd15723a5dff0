"""JSON Schemas of briefs and drafts, written to `docs/schemas` or checked against it.

python -m coworkai.insights.schemas docs/schemas          write them
python -m coworkai.insights.schemas --check docs/schemas  fail when they differ
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from coworkai.insights.brief import SCHEMA_VERSION, Brief, Draft


def documents() -> dict[str, str]:
    """File name to content: what is published, and what a model is held to."""
    return {"brief.json": _schema(Brief, "serialization"), "draft.json": _schema(Draft, "validation")}


def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> str:
    schema = model.model_json_schema(mode=mode)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "version": SCHEMA_VERSION}
    return json.dumps(head | schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="JSON Schemas of briefs")
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
