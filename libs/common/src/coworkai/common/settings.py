"""Settings every service shares, from environment variables prefixed `COWORKAI_`.

One frozen object a service, built once in its `app.py` by `load`, passed in from there. Every default works
embedded; in cloud mode nothing secret and no place of data has a default. Secrets are never printed: a bad
setting is reported by its name and what is wrong with it, without its value.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
import socket
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as NoJson

from coworkai.common.errors import SettingsError

ENV_PREFIX = "COWORKAI_"
MASTER_KEY_BYTES = 32
GOOGLE_JWKS_URL = "https://www.googleapis.com/oauth2/v3/certs"
GOOGLE_ISSUER = "https://accounts.google.com"
LONGEST_ADDRESS_S = 86_400
"""The address of a file works no longer; a file that is replaced stays at least twice as long."""
_NOT_IN_A_PATH = re.compile(r"[\[\]|^=\\\x00-\x1f]|%[0-9A-Fa-f]{2}")
"""With one of these in the path of its folder, the engines do not find a Delta table's files again."""
_FIELD_NAME = re.compile(r'field "(\w+)"')


class Mode(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class CommonSettings(BaseSettings):
    """What every service needs. Raises pydantic's ValidationError; `load` turns it into SettingsError."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        validate_default=False,
        validate_by_name=True,
    )

    mode: Mode = Field(default=Mode.LOCAL, description="local (embedded) or cloud")
    data_dir: Path = Field(
        default=Path("data"), description="folder of everything embedded: lake, stores, keys, logs"
    )
    lake_uri: str = Field(
        default_factory=lambda data: str(data["data_dir"] / "lake"),
        description="root of the lake: folder, gs:// or s3://",
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="object store options, as a JSON object"
    )
    control_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir'] / 'control.db'}",
        description="control-plane store: sqlite:/// or postgresql+psycopg://",
    )
    master_key: SecretStr | None = Field(
        default=None, description="base64 of 32 bytes that every tenant's keys derive from"
    )
    project: str = Field(default="local", description="Google Cloud project of the topics and traces")
    bus_url: str = Field(
        default_factory=lambda data: (
            "https://pubsub.googleapis.com" if data["mode"] is Mode.CLOUD else "http://127.0.0.1:8085"
        ),
        description="base of Pub/Sub's REST API: Google's, the emulator's or the embedded bus's",
    )
    push_auth: bool = Field(
        default_factory=lambda data: data["mode"] is Mode.CLOUD,
        description="verify the OIDC token of every push",
    )
    push_audience: str | None = Field(default=None, description="audience of the push subscriptions' tokens")
    push_service_account: str | None = Field(
        default=None, description="e-mail of the service account that signs pushes"
    )
    push_jwks_url: str = Field(default=GOOGLE_JWKS_URL, description="public keys of the token's issuer")
    push_issuer: str = Field(default=GOOGLE_ISSUER, description="issuer of the tokens")
    host: str = Field(
        default_factory=lambda data: "0.0.0.0" if data["mode"] is Mode.CLOUD else "127.0.0.1",  # noqa: S104
        description="address to listen on",
    )
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias=AliasChoices(f"{ENV_PREFIX}PORT", "PORT"),
        description="port to listen on; Cloud Run's PORT is honoured",
    )
    bronze_days: int = Field(
        default=400, ge=1, description="days that Bronze is kept; older records are refused"
    )
    quarantine_days: int = Field(default=14, ge=1, description="days that sealed originals are kept")
    listen_fd: int | None = Field(
        default=None,
        description="inherited listening socket, instead of host and port (set by `coworkai up`)",
    )
    lifeline_fd: int | None = Field(
        default=None,
        description="inherited pipe; the service stops when its other end closes (set by `coworkai up`)",
    )
    instance: str | None = Field(
        default=None,
        max_length=256,
        description="name of this process in leases; host, process id and a random part by default "
        "(set by `coworkai up`)",
    )
    shutdown_grace_s: int = Field(
        default=8, ge=1, description="seconds that requests in flight get at shutdown"
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description="json (Cloud Logging's fields) or text")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least severity logged"
    )
    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP collector of traces and metrics")

    @model_validator(mode="after")
    def _cloud_has_no_defaults(self) -> Self:
        if self.mode is Mode.CLOUD and not self.push_auth:
            raise ValueError("push_auth cannot be off in cloud mode")
        needed = ("lake_uri", "control_url", "master_key", "project") if self.mode is Mode.CLOUD else ()
        missing = [name for name in needed if name not in self.model_fields_set]
        if self.push_auth:
            missing += [name for name in ("push_audience", "push_service_account") if not getattr(self, name)]
        if missing:
            raise ValueError(f"missing {', '.join(ENV_PREFIX + name.upper() for name in missing)}")
        return self

    @model_validator(mode="after")
    def _lake_can_be_found_again(self) -> Self:
        if "://" not in self.lake_uri and (
            found := _NOT_IN_A_PATH.search(str(Path(self.lake_uri).absolute()))
        ):
            raise ValueError(f"a path with {found[0]!r} in it cannot hold a lake: choose another folder")
        return self

    def lease_holder(self) -> str:
        """A name for this process in leases."""
        return self.instance or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def master_key_bytes(self) -> bytes:
        """The 32 bytes that every key derives from.

        In local mode, without one in the settings, a random key is made once and kept in
        `<data_dir>/master.key`, readable by its owner only. Raises SettingsError for a key that is none.
        """
        if self.master_key is not None:
            return _decode_key(self.master_key.get_secret_value(), f"{ENV_PREFIX}MASTER_KEY")
        return _kept_key(self.data_dir / "master.key")


S = TypeVar("S", bound=CommonSettings)


def load(settings: type[S], data_dir: Path | None = None, **given: object) -> S:
    """The service's settings from the environment; `data_dir`, and what else is `given`, win over it.

    Raises SettingsError with one line that names what is missing or wrong, never its value.
    """
    if data_dir is not None:
        given["data_dir"] = data_dir
    remedy = f"set the {ENV_PREFIX}* environment variables"
    try:
        return settings(**given)  # type: ignore[arg-type]  # pydantic says what is wrong with them
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*_variable(problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
            if problem["type"] != "default_factory_not_called"
        )
        raise SettingsError(problems, remedy=remedy) from None
    except NoJson as error:
        # Its cause holds the value.
        name = _FIELD_NAME.search(str(error))
        where = "a setting" if name is None else "".join(_variable((name[1],)))
        raise SettingsError(f"{where}: not valid JSON", remedy=remedy) from None


def _variable(location: tuple[int | str, ...]) -> list[str]:
    """The environment variable of a setting, and where inside it; empty for settings that contradict."""
    name, *inside = (str(part) for part in location) if location else ("",)
    variable = name if name.startswith(ENV_PREFIX) or not name else f"{ENV_PREFIX}{name.upper()}"
    return [part for part in (variable, *inside) if part]


def _decode_key(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise SettingsError(
            f"{where} is not base64 of {MASTER_KEY_BYTES} bytes",
            remedy="put back the one that this lake was written with; a first one is made by: openssl rand "
            f"-base64 {MASTER_KEY_BYTES}",
        )
    return key


def _kept_key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Services start at the same moment: whoever links its file first has made the key for all.
        descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".master-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(scratch, path)
        finally:
            Path(scratch).unlink()
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", remedy="it is a file that only its owner may read"
        ) from None
    return _decode_key(text, str(path))
