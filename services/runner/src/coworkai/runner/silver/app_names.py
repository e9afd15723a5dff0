"""Application names from paths, bundles and packages (docs/domain.md section 3, "Activity timeline").

    C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe        -> chrome      file name
    /Applications/Visual Studio Code.app/Contents/MacOS/Electron  -> code        outermost bundle
    com.google.android.gm                                         -> gmail       package
    Microsoft.WindowsTerminal_8wekyb3d8bbwe                       -> terminal    UWP family
    /usr/bin/some-tool-2.1                                        -> some-tool   unknown: its cleaned name

The names are data (`app_names.toml`). Work is done once for every distinct exec value.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import polars as pl

from coworkai.common.errors import SettingsError

UNKNOWN_APP = "unknown"
"""The app of a record whose exec is empty or withheld by the capture policy."""

_MAX_LENGTH = 100
_PII = r"<[a-z]+:[^<>]*>"
_ARGUMENTS = r"(?i)^(.*?\.exe)[\"'\s].*$"
_EXTENSION = r"(?i)\.(?:exe|com|bat|cmd|msi|lnk|app|appimage|bin|sh|desktop|jar|pyw?)$"
_NO_PACKAGE = r"(?i)\.(?:exe|bat|cmd|msi|lnk|appimage|bin|sh|jar|pyw?)$"  # packages do end in .app and .com
_BUNDLE = r"(?i)(?:^|/)([^/]+)\.app(?:/|$)"
_UWP = r"(?i)^([a-z0-9][a-z0-9.\-]*?)_(?:[0-9.]+_[a-z0-9]*_[^_]*_)?[a-hjkmnp-tv-z0-9]{13}(?:!.*)?$"
_PACKAGE = (
    r"(?i)^(?:[a-z][a-z0-9_\-]*(?:\.[a-z_][a-z0-9_\-]*){2,}"
    r"|(?:com|org|net|io|me|tv|app|co|de|cn|fr|uk|us|im|dev|ai|ru|jp)\.[a-z][a-z0-9_\-]*)$"
)
_PACKAGE_CORE = (
    r"^(.+?\..+?)"
    r"(?:\.(?:android|app|mobile|client|main|desktop|launcher|ui|phone|free|pro|lite|beta|debug|release))*$"
)
_NOISE = (
    r"[\s_\-]*\((?:32|64)[\s\-]?bit\)$",
    r" helper(?: \([a-z ]+\))?$",
    r"[\s_\-.]+(?:x86[_\-]?64|x64|x86|amd64|arm64|aarch64|win32|win64|64bit|32bit|i[36]86)$",
    r"[\s_\-]+v?\d+(?:\.\d+)*$",
    r"\.?\d+(?:\.\d+)+$",
    r"[\s_\-](?:bin|stable|wrapped)$",
)


def parse_app_names(toml: str) -> pl.DataFrame:
    """The table of names of a TOML text, `name = [spelling, ...]`: columns spelling (lower case, unique),
    app.

    Raises SettingsError for broken TOML, anything but lists of texts, and a spelling listed twice.
    """
    try:
        names = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"app names: {error}") from error
    if not all(
        isinstance(spellings, list) and all(isinstance(spelling, str) for spelling in spellings)
        for spellings in names.values()
    ):
        raise SettingsError("app names: every name needs a list of spellings")
    table = pl.DataFrame(
        [(spelling.lower(), app) for app, spellings in names.items() for spelling in spellings],
        schema={"spelling": pl.String, "app": pl.String},
        orient="row",
    )
    twice = table.filter(pl.col("spelling").is_duplicated())["spelling"].unique().sort()
    if not twice.is_empty():
        raise SettingsError(f"app names: listed more than once: {', '.join(twice)}")
    return table


@cache
def default_app_names() -> pl.DataFrame:
    """The table that ships with the package, with the columns of `parse_app_names`."""
    return parse_app_names(
        resources.files(__package__).joinpath("app_names.toml").read_text(encoding="utf-8")
    )


def app_names(execs: pl.Series, names: pl.DataFrame | None = None) -> pl.DataFrame:
    """Columns exec and app (String, never null) for every distinct value of `execs`, null included."""
    table = default_app_names() if names is None else names
    spellings = table["spelling"]
    apps = table["app"]

    def known(spelling: str) -> pl.Expr:
        return pl.col(spelling).replace_strict(spellings, apps, default=None)

    return (
        execs.rename("exec")
        .unique()
        .to_frame()
        .with_columns(_whole=_stripped(pl.col("exec")))
        .with_columns(
            _bundle=pl.col("_whole").str.extract(_BUNDLE), _family=pl.col("_whole").str.extract(_UWP)
        )
        .with_columns(_package=_package(pl.col("_whole")))
        .with_columns(
            _full=pl.coalesce(
                "_family", "_package", "_bundle", _file_name(pl.col("_whole"))
            ).str.to_lowercase()
        )
        .with_columns(_clean=_cleaned(pl.col("_full")))
        .with_columns(
            _tail=pl.when(pl.col("_package").is_not_null() | pl.col("_family").is_not_null())
            .then(_cleaned(pl.col("_full").str.extract(_PACKAGE_CORE).str.extract(r"([^.]+)$")))
            .otherwise("_clean")
        )
        .select(
            "exec",
            app=pl.coalesce(
                known("_full"),
                known("_clean"),
                known("_tail"),
                _not_empty(pl.col("_tail")),
                _not_empty(pl.col("_clean")),
                pl.lit(UNKNOWN_APP),
            ).str.head(_MAX_LENGTH),
        )
    )


def with_app(frame: pl.DataFrame, names: pl.DataFrame | None = None) -> pl.DataFrame:
    """`frame` (exec, ...) with the column app; rows and their order stay."""
    table = app_names(frame["exec"], names)
    return frame.with_columns(
        app=pl.col("exec").replace_strict(table["exec"], table["app"], return_dtype=pl.String)
    )


def _stripped(exec_: pl.Expr) -> pl.Expr:
    return (
        exec_.fill_null("")
        .str.replace_all(_PII, "")
        .str.strip_chars(" \t\r\n\"'")
        .str.replace(_ARGUMENTS, "$1")
        .str.replace_all("\\", "/", literal=True)
        .str.strip_chars_end("/")
    )


def _package(whole: pl.Expr) -> pl.Expr:
    """A package is a dotted name without a folder or an extension of a program file."""
    bare = whole.str.replace(r"\.desktop$", "")
    is_package = bare.str.contains(_PACKAGE) & ~bare.str.contains(_NO_PACKAGE)
    return pl.when(is_package).then(bare)


def _file_name(whole: pl.Expr) -> pl.Expr:
    return whole.str.extract(r"([^/]*)$").str.replace(_EXTENSION, "")


def _cleaned(name: pl.Expr) -> pl.Expr:
    """`name` without version, architecture and wrapper suffixes, as long as something is left."""
    result = name.str.strip_chars(" ._-").str.replace_all(r"\s+", " ")
    for noise in _NOISE * 2:
        result = result.str.replace(rf"^(.*[^\s._\-]){noise}", "$1")
    return result


def _not_empty(name: pl.Expr) -> pl.Expr:
    return pl.when(name != "").then(name)
