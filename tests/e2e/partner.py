"""A partner API in a process of its own over a lake of small rows, with credentials to read it by."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.unit.partner_api.gold_lake import GoldLake

from coworkai.common.control import Control, Database
from coworkai.partner_api.credentials import Credentials, Grant
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.sharing import profile

TENANT = "acme"
SHARING = Grant(frozenset({Scope.SHARING}), Reach.INDIVIDUAL, None)


@dataclass(frozen=True)
class Partner:
    """A running partner API. `gold` publishes to its lake."""

    folder: Path
    url: str
    gold: GoldLake
    credentials: Credentials

    def table(self, name: str = "kpi_daily", *, oauth: bool = False) -> str:
        """Address of a table for the official Delta Sharing client, with new credentials."""
        return f"{self.profile(oauth=oauth)}#coworkai.gold.{name}"

    def profile(self, *, oauth: bool = False) -> Path:
        """A new profile file."""
        if oauth:
            client = self.credentials.create_client(TENANT, "client", SHARING, actor="test")
            told = profile.of_client(self.url, client.credential.credential_id, client.secret)
        else:
            key = self.credentials.create_key(TENANT, "key", SHARING, actor="test")
            told = profile.of_key(self.url, key.secret, key.credential.expires_at)
        file = self.folder / f"{len(list(self.folder.glob('*.share')))}.share"
        file.write_text(json.dumps(told))
        return file


@contextmanager
def running(folder: Path, gold: GoldLake) -> Iterator[Partner]:
    """A partner API over the lake, its other data in `folder`; ended on leaving."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    options = dict(gold.lake.storage_options)
    settings = PartnerApiSettings(data_dir=folder, public_url=url)
    database = Database(settings.control_url)
    database.migrate()
    Control(database).put_tenant(TENANT)
    environment: Mapping[str, str] = {
        "COWORKAI_DATA_DIR": str(folder),
        "COWORKAI_LAKE_URI": gold.lake.root,
        "COWORKAI_STORAGE_OPTIONS": json.dumps(options),
        "COWORKAI_PUBLIC_URL": url,
        "COWORKAI_LISTEN_FD": str(listening.fileno()),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "coworkai.partner_api"],
        env={**os.environ, **environment},
        pass_fds=[listening.fileno()],
    ) as process:
        listening.close()
        _wait(lambda: httpx.get(f"{url}/readyz").status_code == 200, process)
        yield Partner(folder, url, gold, Credentials(database, Secrets(settings.master_key_bytes())))
        process.terminate()
        assert process.wait(timeout=30) == 0
    database.close()


def _wait(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if condition():
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the partner API has ended")
