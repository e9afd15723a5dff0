"""Settings: defaults that work embedded, and no defaults where they would be dangerous."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from coworkai.common.errors import SettingsError
from coworkai.common.settings import CommonSettings, Mode, load

KEY = base64.b64encode(bytes(range(32))).decode()
CLOUD = {
    "COWORKAI_MODE": "cloud",
    "COWORKAI_PROJECT": "acme-prod",
    "COWORKAI_LAKE_URI": "gs://lake",
    "COWORKAI_CONTROL_URL": "postgresql://db/control",
    "COWORKAI_MASTER_KEY": KEY,
    "COWORKAI_PUSH_AUDIENCE": "https://ingest.example",
    "COWORKAI_PUSH_SERVICE_ACCOUNT": "push@acme-prod.iam.gserviceaccount.com",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    for name in (*CLOUD, "COWORKAI_PORT", "COWORKAI_DATA_DIR", "COWORKAI_PUSH_AUTH"):
        monkeypatch.delenv(name, raising=False)


def test_every_default_lies_below_the_data_folder(tmp_path: Path) -> None:
    settings = CommonSettings(data_dir=tmp_path)
    assert settings.mode is Mode.LOCAL
    assert settings.lake_uri == str(tmp_path / "lake")
    assert settings.control_url == f"sqlite:///{tmp_path / 'control.db'}"
    assert not settings.push_auth


def test_cloud_mode_listens_everywhere_and_verifies_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLOUD.items():
        monkeypatch.setenv(name, value)
    settings = load(CommonSettings)
    assert settings.push_auth
    assert settings.bus_url == "https://pubsub.googleapis.com"
    assert settings.host == "0.0.0.0"
    assert settings.master_key_bytes() == bytes(range(32))


@pytest.mark.parametrize("missing", sorted(set(CLOUD) - {"COWORKAI_MODE"}))
def test_cloud_mode_names_what_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLOUD.items():
        if name != missing:
            monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=missing):
        load(CommonSettings)


def test_push_verification_cannot_be_switched_off_in_cloud_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CLOUD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COWORKAI_PUSH_AUTH", "false")
    with pytest.raises(SettingsError, match="push_auth"):
        load(CommonSettings)


def test_a_secret_is_neither_printed_nor_repeated_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COWORKAI_MASTER_KEY", "hunter2")
    monkeypatch.setenv("COWORKAI_PORT", "hunter2")
    with pytest.raises(SettingsError) as raised:
        load(CommonSettings)
    assert "COWORKAI_PORT" in raised.value.message
    assert "hunter2" not in raised.value.message
    monkeypatch.delenv("COWORKAI_PORT")
    settings = load(CommonSettings)
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError) as no_key:
        settings.master_key_bytes()
    assert "hunter2" not in no_key.value.message


def test_the_platforms_port_is_honoured_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert load(CommonSettings).port == 9000
    monkeypatch.setenv("COWORKAI_PORT", "9001")
    assert load(CommonSettings).port == 9001


def test_the_local_master_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first = CommonSettings(data_dir=tmp_path).master_key_bytes()
    assert CommonSettings(data_dir=tmp_path).master_key_bytes() == first
    assert len(first) == 32
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "master.key"]


@pytest.mark.parametrize("content", [b"this is no key", b"", b"\xff\xfe\x00", base64.b64encode(bytes(16))])
def test_a_master_key_file_that_holds_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "master.key").write_bytes(content)
    with pytest.raises(SettingsError, match=r"master\.key is not base64 of 32 bytes") as raised:
        CommonSettings(data_dir=tmp_path).master_key_bytes()
    assert raised.value.remedy is not None


def test_a_master_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "master.key").mkdir()
    with pytest.raises(SettingsError, match=r"master\.key cannot be read") as raised:
        CommonSettings(data_dir=tmp_path).master_key_bytes()
    assert raised.value.remedy is not None


def test_settings_that_contradict_are_told_in_our_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COWORKAI_PUSH_AUTH", "true")
    with pytest.raises(SettingsError) as raised:
        load(CommonSettings)
    assert raised.value.message.startswith("missing COWORKAI_PUSH_AUDIENCE")


def test_a_setting_that_should_be_json_and_is_not_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COWORKAI_STORAGE_OPTIONS", "hunter2")
    with pytest.raises(SettingsError, match="COWORKAI_STORAGE_OPTIONS: not valid JSON") as raised:
        load(CommonSettings)
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize("name", ["a%20b", "a[1]", "a|b", "a^b", "date=1", "a\\b", "a\tb"])
def test_a_folder_that_a_lake_would_be_lost_in_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot hold a lake: choose another folder"):
        load(CommonSettings, tmp_path / name)


@pytest.mark.parametrize("name", ["a b", "é", "100%", "a#b?", "it's {mine} (1), 50% off"])
def test_a_folder_may_have_any_other_name(tmp_path: Path, name: str) -> None:
    assert load(CommonSettings, tmp_path / name).lake_uri.endswith(f"{name}/lake")
