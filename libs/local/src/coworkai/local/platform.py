"""CoworkAI on one machine: the embedded bus and the four services as processes over one data folder.

Invariants: one platform a folder (a lock file says so); no process outlives this one, however it ends (each
holds the read end of a pipe that only we hold open); a stop loses nothing: the bus stops pushing, each
service finishes what it has in hand, the bus goes last. A service that dies is started again at its own
address; what it had not acknowledged, the bus brings again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from coworkai.common.errors import SettingsError, StorageUnavailable, Terminal, Transient
from coworkai.common.settings import ENV_PREFIX, CommonSettings, Mode, load
from coworkai.local import topology
from coworkai.local.bus.settings import LOCAL_ISSUER
from coworkai.local.settings_reference import SERVICES
from coworkai.local.topology import PushIdentity

HOST = "127.0.0.1"
PROJECT = "local"
FIRST_PORT = 8081
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LOCK_FILE = ".lock"
POLL_S = 0.1
QUICK_DEATH_S = 60.0
"""A service that lived less long has died quickly."""
MAX_QUICK_DEATHS = 5
FIRST_RESTART_S = 0.25

BUS = "bus"
MODULES = {
    BUS: "coworkai.local.bus",
    "ingest": "coworkai.ingest",
    "runner": "coworkai.runner",
    "insights": "coworkai.insights",
    "partner-api": "coworkai.partner_api",
}
_SERVICES = tuple(name for name in MODULES if name != BUS)
_STOP_ORDER = (("ingest",), ("runner", "insights", "partner-api"), (BUS,))
_EMBEDDED: Mapping[str, object] = {"mode": Mode.LOCAL, "push_auth": False}
"""What a platform sets itself, whatever the environment says."""
_OWN = frozenset(
    f"{ENV_PREFIX}{name}"
    for name in (
        *("MODE", "DATA_DIR", "PROJECT", "HOST", "PORT", "LISTEN_FD", "LIFELINE_FD", "INSTANCE"),
        *("BUS_URL", "BUS_AWAIT_ENDPOINTS", "PUSH_AUTH", "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT"),
        *("PUSH_JWKS_URL", "PUSH_ISSUER"),
    )
)
"""Settings that a platform gives its services itself."""
PLACES = frozenset(f"{ENV_PREFIX}{name}" for name in ("LAKE_URI", "STORAGE_OPTIONS", "CONTROL_URL"))
"""Settings of where data is."""
_IDENTITY = PushIdentity("coworkai-local", "push@local.iam.gserviceaccount.com")


_ERRORS = {"ERROR", "CRITICAL"}
_OUR_FRAME = re.compile(r".*/(coworkai/[\w/]+\.py:\d+) ")


class ServiceDied(Terminal):
    """A service ended though nobody stopped it."""

    code = "service_died"


@dataclass
class Restarts:
    """When to start a service again that keeps dying: later each time, and not for ever."""

    quick_deaths: int = 0

    def after(self, lived_s: float) -> float | None:
        """Seconds to wait before the next start; None when it has died quickly too often in a row."""
        self.quick_deaths = self.quick_deaths + 1 if lived_s < QUICK_DEATH_S else 1
        if self.quick_deaths >= MAX_QUICK_DEATHS:
            return None
        return FIRST_RESTART_S * 2.0 ** (self.quick_deaths - 1)


@dataclass
class Service:
    """One process. Its listening socket is made here, so its port is known and taken before it starts."""

    name: str
    log_path: Path
    listener: socket.socket
    lease_holder: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    is_coming_back: bool = False
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def url(self) -> str:
        host, port = self.listener_address
        return f"http://{host}:{port}"

    listener_address: tuple[str, int] = field(init=False)

    def __post_init__(self) -> None:
        host, port = self.listener.getsockname()[:2]
        self.listener_address = (host, port)

    def start(self, environment: Mapping[str, str], lifeline: IO[bytes]) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULES[self.name]],
                env={
                    **environment,
                    f"{ENV_PREFIX}LISTEN_FD": str(self.listener.fileno()),
                    f"{ENV_PREFIX}LIFELINE_FD": str(lifeline.fileno()),
                    f"{ENV_PREFIX}INSTANCE": self.lease_holder,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self.listener.fileno(), lifeline.fileno()),
                # A Ctrl-C in the terminal is ours to pass on, in order.
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        # Closed here, so that a dead service refuses connections instead of leaving them hanging.
        self.listener.close()

    def start_again(self, environment: Mapping[str, str], lifeline: IO[bytes]) -> None:
        """Start at the same address. Raises SettingsError while somebody else listens there."""
        self.listener = _listen(self.name, self.listener_address[1])
        self.start(environment, lifeline)
        self.start_again_at, self.is_coming_back = None, True

    def check(self) -> None:
        """Raises ServiceDied, saying why, when the process has ended."""
        if (death := self.death()) is not None:
            raise ServiceDied(death, remedy=f"see {self.log_path}")

    def death(self) -> str | None:
        """Why the process has ended; None while it lives."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return f"{self.name} stopped with {how}{_last_words(self.log_path)}"

    def ask_to_stop(self) -> None:
        if self.process is None:
            self.listener.close()
        elif self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait_or_kill(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def usual_url(service: str) -> str:
    """Where the service of a platform answers, unless other ports were asked for."""
    return f"http://{HOST}:{FIRST_PORT + _SERVICES.index(service)}"


class Platform:
    """A context manager: entered, everything is ready; left, everything has stopped.

    `first_port` is ingest's, the others follow it; None takes free ports. `environment` is what the services
    inherit. `announce(name, url)` is called for each service as it becomes ready. Raises Terminal when the
    folder or a port is taken, ServiceDied when a service does not come up. A service in `hold_back` is
    pushed nothing until `connect`. `prepare` is called once the folder is ours, before anything starts: what
    it writes never touches a folder in use. `release_holder` gives back the leases of a service whose process
    is gone: of an earlier life of this platform, or one that died.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: Mapping[str, str],
        first_port: int | None = None,
        hold_back: Collection[str] = (),
        prepare: Callable[[], None] = lambda: None,
        announce: Callable[[str, str], None] = lambda _name, _url: None,
        release_holder: Callable[[str], object] = lambda _holder: None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._environment = environment
        self._first_port = first_port
        self._hold_back = hold_back
        self._prepare = prepare
        self._announce = announce
        self._release_holder = release_holder
        self._services: dict[str, Service] = {}
        self._lock: IO[str] | None = None
        self._lifeline: tuple[IO[bytes], IO[bytes]] | None = None

    @property
    def bus_url(self) -> str:
        return self._services[BUS].url

    def url(self, service: str) -> str:
        return self._services[service].url

    def __enter__(self) -> Self:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(self.data_dir)
        try:
            self._check_master_key()
            self._prepare()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raises ServiceDied when a service has ended."""
        for service in self._services.values():
            service.check()

    def tend(self, say: Callable[[str], None]) -> None:
        """Start again what has died, when it is time to, and `say` so; to be called again and again.

        Raises ServiceDied when a service has died quickly too often in a row.
        """
        for service in self._services.values():
            if service.start_again_at is not None:
                if time.monotonic() >= service.start_again_at:
                    self._start_again(service, say)
            elif (death := service.death()) is not None:
                self._restart_later(service, death, say)
            elif service.is_coming_back:
                self._welcome_back(service)

    def _restart_later(self, service: Service, death: str, say: Callable[[str], None]) -> None:
        try:
            self._release_holder(service.lease_holder)
        except StorageUnavailable as error:
            say(f"{error.message}; the leases of {service.name} are left to run out")
        wait_s = service.restarts.after(time.monotonic() - service.started_at)
        service.is_coming_back = False
        if wait_s is None:
            raise ServiceDied(
                f"{death}; it has died {MAX_QUICK_DEATHS} times in a row", remedy=f"see {service.log_path}"
            )
        service.start_again_at = time.monotonic() + wait_s
        say(f"{death}; starting it again in {wait_s:g} s")

    def _start_again(self, service: Service, say: Callable[[str], None]) -> None:
        assert self._lifeline is not None
        try:
            service.start_again(self._service_environment(), self._lifeline[0])
        except SettingsError as error:
            service.started_at = time.monotonic()
            self._restart_later(service, error.message, say)

    def _welcome_back(self, service: Service) -> None:
        with httpx.Client(timeout=2) as client:
            if not _is_ready(client, service):
                return
        if service.name == BUS:
            # In its new life it pushes to nobody before it is told to.
            try:
                self._subscribe(list(_SERVICES))
            except Transient:
                return
        service.is_coming_back = False
        self._announce(service.name, service.url)

    def connect(self, service: str) -> None:
        """Subscribe a service that was held back. Raises Transient."""
        self._subscribe([service])

    def stop(self) -> None:
        """Stop in order: no more pushes, then the services, then the bus. Does nothing the second time."""
        if BUS in self._services and self._services[BUS].process is not None:
            # Without the bus there is nothing to hold back.
            with suppress(httpx.HTTPError):
                httpx.post(f"{self.bus_url}/quiesce", timeout=STOP_TIMEOUT_S)
        for together in _STOP_ORDER:
            stopping = [self._services.pop(name) for name in together if name in self._services]
            for service in stopping:
                service.ask_to_stop()
            for service in stopping:
                service.wait_or_kill()
        if self._lifeline is not None:
            for end in self._lifeline:
                end.close()
            self._lifeline = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _check_master_key(self) -> None:
        """Raises SettingsError. Without the key that there was, services would not start."""
        key = self._environment.get(f"{ENV_PREFIX}MASTER_KEY")
        load(CommonSettings, self.data_dir, master_key=key, **_EMBEDDED).master_key_bytes()

    def _start(self) -> None:
        read_end, write_end = os.pipe()
        self._lifeline = (os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb"))
        for offset, name in enumerate((*_SERVICES, BUS)):
            port = 0 if self._first_port is None else self._first_port + offset
            log_path = self.data_dir / "logs" / f"{name}.log"
            holder = lease_holder(self.data_dir, name)
            self._release_holder(holder)
            self._services[name] = Service(name, log_path, _listen(name, port), holder)
        environment = self._service_environment()
        self._services[BUS].start(environment, self._lifeline[0])
        self._wait_until_ready([BUS])
        self._subscribe([name for name in _SERVICES if name not in self._hold_back])
        for name in _SERVICES:
            self._services[name].start(environment, self._lifeline[0])
        self._wait_until_ready(_SERVICES)

    def _subscribe(self, names: list[str]) -> None:
        with httpx.Client(base_url=self.bus_url, timeout=10) as client:
            topology.apply(client, PROJECT, {name: self.url(name) for name in names}, _IDENTITY)

    def _wait_until_ready(self, names: list[str] | tuple[str, ...]) -> None:
        waiting = [self._services[name] for name in names]
        give_up_at = time.monotonic() + READY_TIMEOUT_S
        with httpx.Client(timeout=2) as client:
            while waiting:
                for service in tuple(waiting):
                    service.check()
                    if _is_ready(client, service):
                        waiting.remove(service)
                        self._announce(service.name, service.url)
                if waiting and time.monotonic() > give_up_at:
                    raise ServiceDied(
                        f"{waiting[0].name} is not ready after {READY_TIMEOUT_S:.0f} s",
                        remedy=f"see {waiting[0].log_path}",
                    )
                if waiting:
                    time.sleep(POLL_S)

    def _service_environment(self) -> dict[str, str]:
        return {
            **self._environment,
            f"{ENV_PREFIX}MODE": "local",
            f"{ENV_PREFIX}DATA_DIR": str(self.data_dir),
            f"{ENV_PREFIX}PROJECT": PROJECT,
            f"{ENV_PREFIX}BUS_URL": self.bus_url,
            # The ports of an earlier life may be somebody else's now.
            f"{ENV_PREFIX}BUS_AWAIT_ENDPOINTS": "true",
            f"{ENV_PREFIX}PUSH_AUTH": "true",
            f"{ENV_PREFIX}PUSH_AUDIENCE": _IDENTITY.audience,
            f"{ENV_PREFIX}PUSH_SERVICE_ACCOUNT": _IDENTITY.service_account,
            f"{ENV_PREFIX}PUSH_JWKS_URL": f"{self.bus_url}/oauth2/v3/certs",
            f"{ENV_PREFIX}PUSH_ISSUER": LOCAL_ISSUER,
            f"{ENV_PREFIX}RUNNER_URL": self.url("runner"),
            f"{ENV_PREFIX}PUBLIC_URL": self._environment.get(
                f"{ENV_PREFIX}PUBLIC_URL", self.url("partner-api")
            ),
        }


def lease_holder(data_dir: Path, service: str) -> str:
    """Under which name a service of the platform on this folder holds leases, in each of its lives."""
    folder = hashlib.sha256(bytes(data_dir.resolve())).hexdigest()[:16]
    return f"{socket.gethostname()}:{folder}:{service}"


def check_settings() -> None:
    """Raises SettingsError when a variable of the environment is not what its service takes."""
    for settings in SERVICES.values():
        load(settings, None, **_EMBEDDED)


def own_environment() -> dict[str, str]:
    """This process's environment, for a platform that takes the user's settings."""
    return dict(os.environ)


def private_environment() -> dict[str, str]:
    """The same without what would put data elsewhere: nothing outside the data folder is touched."""
    return {name: value for name, value in os.environ.items() if name not in PLACES}


def private_settings(data_dir: Path) -> CommonSettings:
    """What all services share on a platform in a private environment. Raises SettingsError."""
    places = {"lake_uri": str(data_dir / "lake"), "control_url": f"sqlite:///{data_dir / 'control.db'}"}
    return load(CommonSettings, data_dir, **places, storage_options={}, **_EMBEDDED)


def not_used(environment: Mapping[str, str], *besides: str) -> list[str]:
    """Settings in the environment that a platform sets itself, and those of `besides`; by name."""
    return sorted({*_OWN, *besides} & environment.keys())


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that it unwinds as Ctrl-C does."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def lock_folder(data_dir: Path) -> IO[str]:
    """The folder is ours until the file is closed. Raises Terminal where a platform runs on it."""
    file = (data_dir / LOCK_FILE).open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Terminal(
            f"CoworkAI already runs on {data_dir}", remedy="stop it, or give another folder with --data"
        ) from None
    return file


def _listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1_024)
    except OSError:
        listener.close()
        raise SettingsError(
            f"port {port} for {name} is taken", remedy="choose others with --port, or free ones with --port 0"
        ) from None
    return listener


def _is_ready(client: httpx.Client, service: Service) -> bool:
    try:
        return client.get(f"{service.url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def first_failure(logs: Iterable[Path], since: datetime) -> str | None:
    """Type and place of the earliest error in logs of services; None where they hold none since then."""
    errors = [
        entry
        for path in logs
        for entry in _entries(path)
        if entry.get("severity") in _ERRORS and datetime.fromisoformat(entry["time"]) >= since
    ]
    if not errors:
        return None
    first = min(errors, key=lambda entry: datetime.fromisoformat(entry["time"]))
    error = first.get("error", {})
    frames = error.get("frames", [])
    ours = [found[1] for frame in frames if (found := _OUR_FRAME.match(frame))]
    kind = first.get("error_type") or error.get("type", first["message"]).rpartition(".")[2]
    place = (
        first.get("location") or (ours or frames or [first["logging.googleapis.com/labels"]["logger"]])[-1]
    )
    return f"{kind} in {place}" + (f": {error['message']}" if "message" in error else "")


def _entries(log_path: Path) -> Iterator[dict[str, Any]]:
    """What a service has logged, without what others wrote there as text."""
    with log_path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)


def _last_words(log_path: Path) -> str:
    """Why a service stopped, from the last error of its log; empty where it says nothing."""
    for line in reversed(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-50:]):
        try:
            entry = json.loads(line)
        except ValueError:
            # A setting that stopped it, or a failed import: plain text on stderr.
            return f": {line.strip()}" if line.strip() else ""
        if entry.get("severity") in _ERRORS:
            error = entry.get("error", {})
            detail = error.get("message") or error.get("type")
            return f": {entry['message']}" + (f" ({detail})" if detail else "")
    return ""
