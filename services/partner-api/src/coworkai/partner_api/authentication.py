"""Who a request is from, by its `Authorization: Bearer`: an API key, a client's token or a worker's token.

    digest known, looked at a moment ago ─▶ principal                        (no store, no signature)
    digest known                         ─▶ look whether it still holds ─▶ principal
    not known                            ─▶ checksum or signature ─▶ store ─▶ known

Invariants: a revoked or expired credential is refused within `2 × revalidate_s` in every process, for nothing
is taken as valid that was not looked at within that time; while the store does not answer, nothing is valid.
Only digests are kept in memory, and a bounded number of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import INGEST_KEY_PREFIX
from coworkai.common.errors import CoworkError
from coworkai.common.observability import get_logger
from coworkai.partner_api.credentials import KEY_PREFIX, Credential, Credentials, id_of_key, is_id
from coworkai.partner_api.failures import Failures
from coworkai.partner_api.principal import Principal, PrincipalKind
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Purpose, Secrets
from coworkai.partner_api.tokens import Tokens

log = get_logger(__name__)
T = TypeVar("T")

MAX_KNOWN = 20_000
MAX_HEADER_BYTES = 4_200
TOUCH_EVERY_S = 30.0
LOOKS_AT_ONCE = 500
RECOGNISED_AT_ONCE = 4
CHALLENGE = 'Bearer realm="coworkai"'
SEND_BEARER = "send the header Authorization: Bearer <API key or access token>"


class InStore(Protocol):
    """Runs work on the store in a thread."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


@dataclass(slots=True, weakref_slot=True)
class Standing:
    """Whether a credential still holds, as of `looked_at` (monotonic seconds)."""

    credential: Credential
    looked_at: float
    is_used: bool = True
    look: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Known:
    """Something that was presented and recognised, and the credential that it stands on."""

    principal: Principal
    expires_at: datetime | None
    standing: Standing


class Authenticator:
    """Tells principals. One event loop."""

    def __init__(
        self,
        credentials: Credentials,
        tokens: Tokens,
        secrets: Secrets,
        in_store: InStore,
        *,
        revalidate_s: float,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._tokens = tokens
        self._secrets = secrets
        self._in_store = in_store
        self._revalidate_s = revalidate_s
        self._fresh_s = 2 * revalidate_s
        self._clock = clock
        self._monotonic = monotonic
        self.failures = Failures(monotonic)
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._standings: WeakValueDictionary[str, Standing] = WeakValueDictionary()
        self._last_used: dict[str, datetime] = {}
        self._recognising = asyncio.Semaphore(RECOGNISED_AT_ONCE)

    async def authenticate(self, authorization: bytes | None, source: str) -> Principal:
        """The principal of an `Authorization` header, sent from `source`.

        Raises Refused: 401 for what is missing, wrong, expired or revoked, 429 after too many failures; and
        StorageUnavailable.
        """
        presented = _bearer(authorization)
        digest = self._secrets.mac(Purpose.CREDENTIALS, b"presented", presented)
        known = self._known.get(digest)
        if known is None:
            known = await self._recognised(digest, presented.decode("ascii", "replace"), source)
        if known.expires_at is not None and known.expires_at <= self._clock():
            del self._known[digest]
            raise _expired()
        if self._monotonic() - known.standing.looked_at > self._fresh_s:
            await self._look_again(known.standing)
        known.standing.is_used = True
        self._check(known.standing.credential)
        return known.principal

    async def watch(self) -> None:
        """Look again at what is in use, and write down when it was last used, until cancelled."""
        written_at = self._monotonic()
        while True:
            await asyncio.sleep(self._revalidate_s)
            try:
                await self._look_at_used()
                if self._monotonic() - written_at >= TOUCH_EVERY_S:
                    written_at = self._monotonic()
                    await self.write_last_used()
            except CoworkError as error:
                log.warning("credentials could not be looked at", error=error)

    async def write_last_used(self) -> None:
        """Write down when credentials were last used, many at a time. Raises StorageUnavailable."""
        if self._last_used:
            used, self._last_used = self._last_used, {}
            await self._in_store(lambda: self._credentials.touch(used))

    async def verify_client(self, client_id: str, secret: str, source: str) -> Credential:
        """The live OAuth client whose secret this is. Raises Refused (401, 429) and StorageUnavailable."""
        async with self._recognising:
            return await self._matching(PrincipalKind.OAUTH_CLIENT, client_id, secret, source)

    async def _matching(
        self, kind: PrincipalKind, credential_id: str, secret: str, source: str
    ) -> Credential:
        self.failures.check(source)
        if not is_id(credential_id):
            await self._failed(source, None)
            raise _invalid("the key or secret is not known")
        found = await self._in_store(lambda: self._credentials.matching(credential_id, secret))
        if found is None or found.kind is not kind:
            await self._failed(source, credential_id)
            raise _invalid("the key or secret is not known")
        self._check(found)
        return found

    async def _recognised(self, digest: bytes, presented: str, source: str) -> Known:
        """What is presented for the first time, by few at once: failures count before the next ones try."""
        async with self._recognising:
            known = self._known.get(digest)
            if known is None:
                known = self._known[digest] = await self._recognise(presented, source)
                if len(self._known) > MAX_KNOWN:
                    self._known.popitem(last=False)
        return known

    async def _recognise(self, presented: str, source: str) -> Known:
        if presented.startswith(KEY_PREFIX):
            credential_id = id_of_key(presented)
            if credential_id is None:
                self.failures.check(source)
                await self._failed(source, None)
                raise _invalid("the API key is mistyped or cut: its checksum is not right")
            key = await self._matching(PrincipalKind.API_KEY, credential_id, presented, source)
            return Known(key.principal(), None, self._standing(key))
        self.failures.check(source)
        try:
            claims = self._tokens.verify(presented)
        except Refused as refused:
            if refused.kind is Code.INVALID_CREDENTIALS:
                await self._failed(source, None)
            raise _challenged(refused) from None
        found = await self._in_store(lambda: self._credentials.find([claims.credential_id]))
        credential = found.get(claims.credential_id)
        if credential is None or credential.tenant_id != claims.tenant_id:
            raise _invalid("the access token is not valid")
        standing = self._standing(credential)
        if claims.worker_id is not None:
            return Known(claims.worker(), claims.expires_at, standing)
        return Known(credential.principal(claims.scopes), claims.expires_at, standing)

    def _standing(self, credential: Credential) -> Standing:
        standing = self._standings.get(credential.credential_id)
        if standing is None:
            standing = Standing(credential, self._monotonic())
            self._standings[credential.credential_id] = standing
        else:
            standing.credential, standing.looked_at = credential, self._monotonic()
        return standing

    async def _look_again(self, standing: Standing) -> None:
        """One look at a time; whoever comes meanwhile waits for it. Raises StorageUnavailable."""
        if standing.look is None:
            standing.look = asyncio.create_task(self._look_at([standing]))
        look = standing.look
        try:
            await asyncio.shield(look)
        finally:
            if standing.look is look and look.done():
                standing.look = None

    async def _look_at_used(self) -> None:
        used = [standing for standing in self._standings.values() if standing.is_used]
        now = self._clock()
        for standing in used:
            self._last_used[standing.credential.credential_id] = now
        for start in range(0, len(used), LOOKS_AT_ONCE):
            await self._look_at(used[start : start + LOOKS_AT_ONCE])

    async def _look_at(self, standings: list[Standing]) -> None:
        asked = self._monotonic()
        for standing in standings:
            standing.is_used = False
        ids = [standing.credential.credential_id for standing in standings]
        found = await self._in_store(lambda: self._credentials.find(ids))
        for standing in standings:
            credential = found.get(standing.credential.credential_id)
            if credential is None:
                # Its tenant is gone, and it with it.
                credential = replace(standing.credential, revoked_at=self._clock())
            standing.credential, standing.looked_at = credential, asked

    def _check(self, credential: Credential) -> None:
        if credential.revoked_at is not None:
            raise Refused(
                Code.REVOKED_CREDENTIALS,
                "the credentials were revoked",
                remedy="use others: coworkai keys create makes them",
                headers=_challenge("the credentials were revoked"),
            )
        if credential.expires_at is not None and credential.expires_at <= self._clock():
            raise _expired()

    async def _failed(self, source: str, credential_id: str | None) -> None:
        """Count a failed attempt; the one that closes the door on a credential is in the audit log.

        Raises Refused (429) where it was closed before.
        """
        if not self.failures.count(source, credential_id) or credential_id is None:
            return
        wanted = credential_id
        found = (await self._in_store(lambda: self._credentials.find([wanted]))).get(wanted)
        if found is not None:
            tenant_id = found.tenant_id
            await self._in_store(
                lambda: self._credentials.audit(
                    tenant_id,
                    actor="unknown",
                    action="credential.attacked",
                    target=wanted,
                    detail={"source": source},
                )
            )


def _bearer(authorization: bytes | None) -> bytes:
    if authorization is None:
        raise Refused(
            Code.MISSING_CREDENTIALS,
            "the request carries no credentials",
            remedy=SEND_BEARER,
            headers={"www-authenticate": CHALLENGE},
        )
    scheme, _, presented = authorization.partition(b" ")
    presented = presented.strip()
    if scheme.lower() != b"bearer" or not presented or len(authorization) > MAX_HEADER_BYTES:
        raise _invalid("the Authorization header is no bearer token", remedy=SEND_BEARER)
    if presented.startswith(INGEST_KEY_PREFIX.encode()):
        raise _invalid(
            "a collector's key is not for this API", remedy="`coworkai keys create` makes one that is"
        )
    return presented


def _invalid(
    detail: str, *, remedy: str = "compare it with the one that `coworkai keys create` printed"
) -> Refused:
    return Refused(Code.INVALID_CREDENTIALS, detail, remedy=remedy, headers=_challenge(detail))


def _expired() -> Refused:
    return Refused(
        Code.EXPIRED_CREDENTIALS,
        "the credentials have expired",
        remedy="use the successor of the key, or ask for a new token",
        headers=_challenge("the credentials have expired"),
    )


def _challenged(refused: Refused) -> Refused:
    return Refused(refused.kind, refused.message, remedy=refused.remedy, headers=_challenge(refused.message))


def _challenge(detail: str) -> dict[str, str]:
    return {"www-authenticate": f'{CHALLENGE}, error="invalid_token", error_description="{detail}"'}
