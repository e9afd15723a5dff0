"""The applications of the sample organisation: how each system reports them, their titles and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from coworkai.local.sample.people import Os, Role, Worker
from coworkai.local.sample.words import Planter

CHROME = {
    Os.WINDOWS: r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    Os.MACOS: "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    Os.LINUX: "/opt/google/chrome/chrome",
}


@dataclass(frozen=True, slots=True)
class App:
    """`execs` by system, `{login}` in a path is the worker's; a page has a `url`.

    `typing` is the share of minutes in front in which something is typed, `dwell_s` a usual stay.
    """

    execs: Mapping[Os, str]
    titles: tuple[str, ...]
    typing: float
    dwell_s: float
    url: str | None = None


APPS: Mapping[str, App] = {
    "code": App(
        {
            Os.WINDOWS: r"C:\Users\{login}\AppData\Local\Programs\Microsoft VS Code\Code.exe",
            Os.MACOS: "/Applications/Visual Studio Code.app/Contents/MacOS/Electron",
            Os.LINUX: "/usr/share/code/code",
        },
        ("routing.py - fleet - Visual Studio Code", "test_import.py - fleet - Visual Studio Code",
         "billing.sql - exports - Visual Studio Code", "README.md - fleet - Visual Studio Code"),
        typing=0.35,
        dwell_s=420,
    ),
    "terminal": App(
        {
            Os.WINDOWS: "Microsoft.WindowsTerminal_8wekyb3d8bbwe",
            Os.MACOS: "/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal",
            Os.LINUX: "/usr/bin/gnome-terminal-server",
        },
        ("fleet: make test", "fleet: git log", "psql exports"),
        typing=0.3,
        dwell_s=80,
    ),
    "excel": App(
        {
            Os.WINDOWS: r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
            Os.MACOS: "/Applications/Microsoft Excel.app/Contents/MacOS/Microsoft Excel",
            Os.LINUX: "/usr/lib/libreoffice/program/soffice.bin",
        },
        ("pricing-2026.xlsx - Excel", "segments.xlsx - Excel", "weekly-report.xlsx - Excel"),
        typing=0.2,
        dwell_s=300,
    ),
    "outlook": App(
        {
            Os.WINDOWS: r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
            Os.MACOS: "/Applications/Microsoft Outlook.app/Contents/MacOS/Microsoft Outlook",
            Os.LINUX: "/usr/bin/thunderbird",
        },
        ("Inbox - Outlook", "RE: delivery window - Message", "Weekly review - Meeting"),
        typing=0.28,
        dwell_s=95,
    ),
    "slack": App(
        {
            Os.WINDOWS: r"C:\Users\{login}\AppData\Local\slack\slack.exe",
            Os.MACOS: "/Applications/Slack.app/Contents/MacOS/Slack",
            Os.LINUX: "/usr/lib/slack/slack",
        },
        ("#stand-up - Northwind - Slack", "#incidents - Northwind - Slack", "Threads - Northwind - Slack"),
        typing=0.3,
        dwell_s=60,
    ),
    "zoom": App(
        {
            Os.WINDOWS: r"C:\Users\{login}\AppData\Roaming\Zoom\bin\Zoom.exe",
            Os.MACOS: "/Applications/zoom.us.app/Contents/MacOS/zoom.us",
            Os.LINUX: "/opt/zoom/zoom",
        },
        ("Zoom Meeting", "Weekly review - Zoom Meeting", "Stand-up - Zoom Meeting"),
        typing=0.04,
        dwell_s=1800,
    ),
    "notes": App(
        {
            Os.WINDOWS: r"C:\Windows\System32\notepad.exe",
            Os.MACOS: "/System/Applications/Notes.app/Contents/MacOS/Notes",
            Os.LINUX: "/usr/bin/gedit",
        },
        ("Untitled", "todo.txt"),
        typing=0.5,
        dwell_s=90,
    ),
    "github": App(
        CHROME,
        ("Pull request #412 - northwind/fleet",),
        typing=0.12,
        dwell_s=180,
        url="https://github.com/northwind/fleet/pull/412",
    ),
    "docs": App(
        CHROME,
        ("Migration plan - Google Docs",),
        typing=0.32,
        dwell_s=360,
        url="https://docs.google.com/document/d/1kq0migration/edit",
    ),
    "dashboard": App(
        CHROME,
        ("Delivery times - Looker",),
        typing=0.07,
        dwell_s=240,
        url="https://northwind.looker.com/dashboards/17",
    ),
    "tickets": App(
        CHROME,
        ("Ticket 20391 - Zendesk", "Ticket 20417 - Zendesk"),
        typing=0.32,
        dwell_s=210,
        url="https://northwind.zendesk.com/agent/tickets/20391",
    ),
    "crm": App(
        CHROME,
        ("Port City - Opportunity - Salesforce",),
        typing=0.25,
        dwell_s=240,
        url="https://northwind.lightning.force.com/lightning/o/Opportunity/home",
    ),
    "assistant": App(CHROME, ("ChatGPT",), typing=0.4, dwell_s=100, url="https://chatgpt.com/c/6f1d"),
    "wiki": App(
        CHROME,
        ("On-call steps - Wiki",),
        typing=0.07,
        dwell_s=150,
        url="https://wiki.northwind-ports.example/on-call",
    ),
    "news": App(
        CHROME, ("Business news",), typing=0.0, dwell_s=120, url="https://www.bbc.co.uk/news/business"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mix:
    """What a role works with: apps of focus stretches, side glances, and conversation."""

    focus: tuple[str, ...]
    side: tuple[str, ...]
    talk: tuple[str, ...]
    meetings: int


MIXES: Mapping[Role, Mix] = {
    Role.ENGINEER: Mix(
        focus=("code", "code", "code", "github"),
        side=("terminal", "github", "wiki", "assistant"),
        talk=("slack", "slack", "outlook"),
        meetings=1,
    ),
    Role.ANALYST: Mix(
        focus=("excel", "dashboard", "code"),
        side=("dashboard", "assistant", "notes"),
        talk=("slack", "outlook"),
        meetings=1,
    ),
    Role.SUPPORT: Mix(
        focus=("tickets", "tickets", "crm"),
        side=("wiki", "slack", "notes"),
        talk=("slack", "outlook", "outlook"),
        meetings=1,
    ),
    Role.SALES: Mix(
        focus=("crm", "excel", "docs"),
        side=("outlook", "news"),
        talk=("outlook", "outlook", "slack"),
        meetings=2,
    ),
    Role.LEAD: Mix(
        focus=("docs", "excel", "dashboard"),
        side=("outlook", "slack", "assistant"),
        talk=("outlook", "slack"),
        meetings=3,
    ),
}


@dataclass(frozen=True, slots=True)
class Window:
    """One window as a collector sees it."""

    exec: str
    title: str
    url: str | None


def window(app: str, worker: Worker, random: Random, planter: Planter) -> Window:
    """A window of `app` on the worker's device, in one of 40 or so with personal data in title or address."""
    spec = APPS[app]
    title, url = random.choice(spec.titles), spec.url
    case = random.randrange(120)
    if case == 0:
        title = f"{planter.any()} - {title}"
    elif case == 1 and url is not None:
        url = f"{url}?q={planter.query_value()}&mail={planter.email()}"
    elif case == 2 and url is not None:
        secret = planter.query_value()
        url = url.replace("https://", f"https://admin:{secret}@")
    return Window(spec.execs[worker.os].replace("{login}", worker.user_id), title, url)
