"""The reference of every setting, from the settings classes themselves.

python -m coworkai.local.settings_reference docs/settings.md          write it
python -m coworkai.local.settings_reference --check docs/settings.md  fail when it differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from coworkai.common.settings import CommonSettings
from coworkai.ingest.settings import IngestSettings
from coworkai.insights.settings import InsightsSettings
from coworkai.local.bus.settings import BusSettings
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.runner.settings import RunnerSettings

SERVICES: dict[str, type[CommonSettings]] = {
    "Ingest": IngestSettings,
    "Runner": RunnerSettings,
    "Insights": InsightsSettings,
    "Partner API": PartnerApiSettings,
    "Embedded bus": BusSettings,
}


def markdown() -> str:
    """A table of the settings that all services share, and one of each service's own."""
    lines = ["# Settings", "", "Environment variables, read once at the start. Generated from the code.", ""]
    lines += _table("Every service", CommonSettings, frozenset())
    for title, settings in SERVICES.items():
        lines += _table(title, settings, frozenset(CommonSettings.model_fields))
    return "\n".join(lines)


def _table(title: str, settings: type[CommonSettings], shared: frozenset[str]) -> list[str]:
    rows, values = [], dict[str, object]()
    for name, field in settings.model_fields.items():
        # As it is embedded; what a default depends on comes before it.
        values[name] = field.get_default(call_default_factory=True, validated_data=values)
        if name not in shared:
            default = "" if values[name] in (None, {}) else f"`{values[name]}`"
            rows.append(f"| `COWORKAI_{name.upper()}` | {default} | {field.description} |")
    return [f"## {title}", "", "| variable | embedded default | meaning |", "| --- | --- | --- |", *rows, ""]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The reference of every setting")
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    args = parser.parse_args(argv)
    path: Path = args.file
    if path.exists() and path.read_text(encoding="utf-8") == markdown():
        return 0
    if args.check:
        sys.stderr.write(f"{path} is out of date; run `make docs`\n")
        return 1
    path.write_text(markdown(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
