"""Application names (docs/domain.md section 3, "Activity timeline")."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.common.errors import SettingsError
from coworkai.runner.silver.app_names import (
    UNKNOWN_APP,
    app_names,
    default_app_names,
    parse_app_names,
    with_app,
)

NAMES = {
    # Windows
    r"C:\Program Files\Google\Chrome\Application\chrome.exe": "chrome",
    r"C:\Users\<user:0123456789abcdef01234567>\AppData\Local\slack\app-4.36.1\slack.exe": "slack",
    r'"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "plan.docx"': "word",
    r"C:\Windows\System32\cmd.exe": "terminal",
    "cmd.exe": "terminal",
    "NOTEPAD.EXE": "notepad",
    r"C:\Program Files\Adobe\Adobe Photoshop 2024\Photoshop.exe": "photoshop",
    r"C:\Program Files\JetBrains\PyCharm 2024.1\bin\pycharm64.exe": "pycharm",
    # UWP
    "Microsoft.WindowsTerminal_8wekyb3d8bbwe": "terminal",
    "Microsoft.WindowsTerminal_8wekyb3d8bbwe!App": "terminal",
    "Microsoft.WindowsTerminal_1.18.3181.0_x64__8wekyb3d8bbwe": "terminal",
    "Microsoft.Windows.Photos_8wekyb3d8bbwe": "photos",
    "5319275A.WhatsAppDesktop_cv1g1gvanyjgm": "whatsapp",
    "Contoso.FieldNotes_abcdefgh12345": "fieldnotes",
    # macOS
    "/Applications/Visual Studio Code.app/Contents/MacOS/Electron": "code",
    "/Applications/zoom.us.app/Contents/MacOS/zoom.us": "zoom",
    "/Users/<user:0123456789abcdef01234567>/Applications/Slack.app": "slack",
    "/Applications/Google Chrome.app/Contents/Frameworks/Google Chrome Framework.framework/Helpers/"
    "Google Chrome Helper (Renderer).app/Contents/MacOS/Google Chrome Helper (Renderer)": "chrome",
    "Google Chrome": "chrome",
    # Linux
    "/usr/bin/python3.11": "python",
    "/usr/lib/firefox/firefox-bin": "firefox",
    "/snap/code/159/usr/share/code/code": "code",
    "org.gnome.Nautilus.desktop": "files",
    "google-chrome-stable": "chrome",
    # Android
    "com.android.chrome": "chrome",
    "com.google.android.gm": "gmail",
    "com.tencent.mm": "wechat",
    "net.activitywatch.android.debug": "activitywatch",
    "com.acme.timesheet.android": "timesheet",
    "com.acme.planner.app": "planner",
    "me.ele": "eleme",
    # unknown: cleaned
    "/opt/acme/ledger-tool-2.1.3": "ledger-tool",
    r"C:\Tools\Ledger Tool (64-bit).exe": "ledger tool",
    "ledger_tool-x86_64.AppImage": "ledger_tool",
    "微信": "微信",
    "2024.exe": "2024",
    # nothing left
    "": UNKNOWN_APP,
    "   ": UNKNOWN_APP,
    "<email:0123456789abcdef01234567>.exe": UNKNOWN_APP,
}


@pytest.mark.parametrize(("exec_", "app"), NAMES.items())
def test_an_exec_value_has_the_name_people_use(exec_: str, app: str) -> None:
    assert with_app(pl.DataFrame({"exec": [exec_]}))["app"].item() == app


def test_an_exec_value_that_is_withheld_is_unknown() -> None:
    frame = pl.DataFrame({"exec": [None, "chrome.exe"]}, schema={"exec": pl.String})
    assert with_app(frame)["app"].to_list() == [UNKNOWN_APP, "chrome"]


def test_no_pii_token_becomes_part_of_a_name() -> None:
    frame = pl.DataFrame({"exec": ["/opt/<user:0123456789abcdef01234567>-notes/<name:abc>-notes.exe"]})
    assert with_app(frame)["app"].item() == "notes"


def test_every_spelling_of_the_table_means_its_own_name() -> None:
    table = default_app_names()
    named = app_names(table["spelling"]).join(table, left_on="exec", right_on="spelling")
    assert named.filter(pl.col("app") != pl.col("app_right")).is_empty()


def test_every_app_name_is_itself_a_fixed_point() -> None:
    names = default_app_names()["app"].unique()
    again = app_names(names).filter(pl.col("exec") != pl.col("app"))
    assert again.is_empty()


def test_a_tenant_may_bring_its_own_table() -> None:
    table = parse_app_names('"ledger" = ["acme-ldg", "com.acme.ldg"]')
    frame = pl.DataFrame({"exec": [r"C:\ACME-LDG.exe", "com.acme.ldg", "chrome.exe"]})
    assert with_app(frame, table)["app"].to_list() == ["ledger", "ledger", "chrome"]


@pytest.mark.parametrize(
    "toml", ["a = 1", "a = [1]", 'a = ["x"]\nb = ["X"]', "a = ", '[a]\nb = ["x"]'], ids=str
)
def test_a_broken_table_of_names_is_refused(toml: str) -> None:
    with pytest.raises(SettingsError, match="app names"):
        parse_app_names(toml)


@given(st.lists(st.text(max_size=60)))
def test_any_exec_value_has_one_bounded_lower_case_name(execs: list[str]) -> None:
    frame = pl.DataFrame({"exec": execs}, schema={"exec": pl.String})
    apps = with_app(frame)["app"]
    assert len(apps) == len(execs)
    assert apps.null_count() == 0
    for app in apps:
        assert 1 <= len(app) <= 100
        assert "<user:" not in app
