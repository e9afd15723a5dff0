"""Which apps and domains are focused work: a data table, ours or the tenant's (docs/domain.md section 4)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec
import polars as pl

from coworkai.common.errors import SettingsError

FOCUS_SCHEMA = pl.Schema(
    {"kind": pl.String, "name": pl.String, "category": pl.String, "focus": pl.Boolean},
)
# Scheme and userinfo are optional: collectors send `medium.com/article` too.
_HOST = r"^(?:[a-z][a-z0-9+.\-]*://)?(?:[^/?#@]*@)?([^/?#:@]+)"


class _Category(msgspec.Struct, forbid_unknown_fields=True):
    focus: bool
    apps: list[str] = []
    domains: list[str] = []


def parse_focus_table(toml: str) -> pl.DataFrame:
    """The focus table of a TOML text with one table a category: `focus`, `apps`, `domains`.

    Returns kind (`app` or `domain`), name (lower case), category, focus (boolean); sorted, names unique
    within a kind. Raises SettingsError for broken TOML, unknown fields, wrong types, and a name in two
    categories.
    """
    try:
        categories = msgspec.convert(tomllib.loads(toml), dict[str, _Category])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"focus categories: {error}") from error
    rows = [
        (kind, name.strip().lower().rstrip("."), category, entry.focus)
        for category, entry in categories.items()
        for kind, names in (("app", entry.apps), ("domain", entry.domains))
        for name in names
    ]
    table = pl.DataFrame(rows, schema=FOCUS_SCHEMA, orient="row").sort("kind", "name")
    twice = table.filter(pl.struct("kind", "name").is_duplicated())
    if not twice.is_empty():
        names = ", ".join(twice["name"].unique(maintain_order=True))
        raise SettingsError(f"focus categories: listed more than once: {names}")
    return table


@cache
def default_focus_table() -> pl.DataFrame:
    """The focus table that ships with the package, with the columns of `parse_focus_table`."""
    text = resources.files(__package__).joinpath("focus_categories.toml").read_text(encoding="utf-8")
    return parse_focus_table(text)


def is_focus(contexts: pl.DataFrame, focus: pl.DataFrame) -> pl.Series:
    """Whether each row of `contexts` (app, url) is in a focus category: Boolean, never null.

    The longest listed domain that the URL's host equals or lies below decides; without one, the app.
    """
    pairs = contexts.select("app", "url").unique(maintain_order=True)
    apps = focus.filter(pl.col("kind") == "app").select(app="name", app_focus="focus")
    domains = focus.filter(pl.col("kind") == "domain").select(domain="name", domain_focus="focus")
    known = pairs.with_columns(app_name=pl.col("app").str.to_lowercase()).join(
        apps, left_on="app_name", right_on="app", how="left", maintain_order="left"
    )
    known = known.with_columns(labels=pl.col("url").str.to_lowercase().str.extract(_HOST).str.split("."))
    deciders = []
    depths = domains["domain"].str.count_matches(".", literal=True).unique().sort(descending=True)
    for depth in depths.to_list():
        column = f"domain_{depth}"
        deciders.append(column)
        known = known.with_columns(
            domain=pl.when(pl.col("labels").list.len() > depth).then(
                pl.col("labels").list.tail(depth + 1).list.join(".")
            )
        )
        known = known.join(domains, on="domain", how="left", maintain_order="left").rename(
            {"domain_focus": column}
        )
    verdict = known.select("app", "url", is_focus=pl.coalesce(*deciders, "app_focus", pl.lit(value=False)))
    return contexts.select("app", "url").join(
        verdict, on=["app", "url"], how="left", nulls_equal=True, maintain_order="left"
    )["is_focus"]
