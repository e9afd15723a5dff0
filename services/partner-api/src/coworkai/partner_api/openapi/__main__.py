"""The OpenAPI document of this API, written to a file or checked against it.

python -m coworkai.partner_api.openapi docs/openapi.json            write it
python -m coworkai.partner_api.openapi --check docs/openapi.json    fail when it differs, or breaks clients
python -m coworkai.partner_api.openapi --release docs/openapi.json  from now on, this is what is promised

The released document is kept beside it, as `openapi.released.json`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from coworkai.partner_api.app import create_app
from coworkai.partner_api.openapi.compatibility import breaking_changes
from coworkai.partner_api.openapi.document import document, encoded
from coworkai.partner_api.settings import PartnerApiSettings


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The OpenAPI document of the partner API")
    parser.add_argument("file", type=Path)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; exit 1 when it differs or breaks")
    mode.add_argument("--release", action="store_true", help="promise the document as it is now")
    args = parser.parse_args(argv)
    path: Path = args.file
    released = path.with_suffix(".released.json")
    current = document(create_app(PartnerApiSettings()).api)
    if args.release:
        released.write_bytes(encoded(current))
    broken = breaking_changes(msgspec.json.decode(released.read_bytes()), current)
    if broken:
        sys.stderr.write(
            f"this breaks clients of the released API ({released}):\n"
            + "".join(f"  {one}\n" for one in broken)
            + "Keep what was promised, or deprecate it and answer it until its sunset.\n"
        )
        return 1
    is_same = path.exists() and path.read_bytes() == encoded(current)
    if args.check and not is_same:
        sys.stderr.write(f"{path} is out of date; run `make docs`\n")
        return 1
    if not is_same:
        path.write_bytes(encoded(current))
    return 0


if __name__ == "__main__":
    sys.exit(main())
