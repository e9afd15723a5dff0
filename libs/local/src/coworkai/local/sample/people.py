"""The people of the sample organisation: teams, managers, zones, devices, and their jobs.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from random import Random
from zoneinfo import ZoneInfo


class Role(StrEnum):
    ENGINEER = "Software Engineer"
    ANALYST = "Data Analyst"
    SUPPORT = "Support Agent"
    SALES = "Account Executive"
    LEAD = "Team Lead"


class Os(StrEnum):
    WINDOWS = "windows"
    MACOS = "macos"
    LINUX = "linux"


@dataclass(frozen=True, slots=True)
class Site:
    region: str
    time_zone: str
    schedule_start: str
    schedule_end: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class Team:
    name: str
    department: str
    role: Role


@dataclass(frozen=True, slots=True)
class Worker:
    """A person and their one device. `manager_id` is the collector's id of the manager, "" at the top."""

    user_id: str
    name: str
    email: str
    role: Role
    team: Team
    site: Site
    manager_id: str
    os: Os
    device_id: str


SITES = (
    Site("EMEA", "Europe/Berlin", "09:00", "17:30"),
    Site("AMER", "America/New_York", "08:30", "17:00"),
    Site("APAC", "Asia/Kolkata", "10:00", "18:30"),
)
TEAMS = (
    Team("Platform Engineering", "Engineering", Role.ENGINEER),
    Team("Data & Analytics", "Engineering", Role.ANALYST),
    Team("Customer Support", "Operations", Role.SUPPORT),
    Team("Key Accounts", "Commercial", Role.SALES),
)
GIVEN = (
    "Annika", "Bogdan", "Chiara", "Dmitri", "Eleonora", "Farhad", "Gwendolyn", "Harish", "Ingeborg", "Jovana",
    "Kwabena", "Lieselotte", "Mateusz", "Nirmala", "Oluwaseun", "Priyanka", "Quentin", "Rosalind", "Sigrid",
    "Thandiwe", "Ulrich", "Valentina", "Wolfgang", "Ximena", "Yevgenia", "Zbigniew",
)  # fmt: skip
FAMILY = (
    "Achterberg", "Bhattacharya", "Castellanos", "Drozdowski", "Eriksdotter", "Fitzwilliam", "Gunnarsson",
    "Hadjipetrou", "Iyengar", "Jankowska", "Kowalczyk", "Lindqvist", "Montgomery", "Nakashima", "Okonkwo",
    "Papadopoulos", "Quarshie", "Ranganathan", "Szymanski", "Thorvaldsen", "Umarov", "Venkataraman",
    "Wojciechowski", "Xenakis", "Yamaguchi", "Zimmermann",
)  # fmt: skip
MAIL_DOMAIN = "northwind-ports.example"


def roster(random: Random, workers: int) -> list[Worker]:
    """`workers` people dealt round teams and sites; the first of a team leads it, the very first all."""
    people: list[Worker] = []
    leads: dict[str, str] = {}
    given, family = random.sample(GIVEN, len(GIVEN)), random.sample(FAMILY, len(FAMILY))
    for number in range(workers):
        team = TEAMS[number % len(TEAMS)]
        first = given[number % len(given)]
        last = family[(number + number // len(family)) % len(family)]
        user_id = f"{first}.{last}".lower()
        lead = team.name not in leads
        leads.setdefault(team.name, user_id)
        people.append(
            Worker(
                user_id=user_id,
                name=f"{first} {last}",
                email=f"{user_id}@{MAIL_DOMAIN}",
                role=Role.LEAD if lead else team.role,
                team=team,
                site=SITES[(number // len(TEAMS)) % len(SITES)],
                manager_id=(people[0].user_id if people else "") if lead else leads[team.name],
                os=random.choice(list(Os)),
                device_id=f"NWP-{random.getrandbits(40):010X}",
            )
        )
    return people


JOBS_COLUMNS = (
    "user_id", "name", "email", "role", "team", "department", "manager_id", "region", "time_zone",
    "schedule_start", "schedule_end", "valid_from",
)  # fmt: skip


def jobs_csv(valid_from: date, people: Sequence[Worker], broken: Sequence[Sequence[str]] = ()) -> bytes:
    """A snapshot with a byte order mark and quoted newlines; `broken` rows, undated, at its end."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(JOBS_COLUMNS)
    writer.writerows((*_row(worker), valid_from.isoformat()) for worker in people)
    writer.writerows((*row, valid_from.isoformat()) for row in broken)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _row(worker: Worker) -> tuple[str, ...]:
    """A row without its date; leads are written as some HR systems do, on two lines."""
    first, last = worker.name.split(" ", 1)
    is_lead = worker.role is Role.LEAD
    return (
        worker.user_id,
        f"{last},\n{first}" if is_lead else worker.name,
        worker.email,
        f"{worker.role},\n{worker.team.name}" if is_lead else worker.role,
        worker.team.name,
        worker.team.department,
        worker.manager_id,
        worker.site.region,
        worker.site.time_zone,
        worker.site.schedule_start,
        worker.site.schedule_end,
    )
