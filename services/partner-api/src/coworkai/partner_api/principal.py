"""Who calls, and what they may (domain, section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """How near to a person a caller may look: the published lattice only, or a person's rows too."""

    AGGREGATE = "aggregate"
    INDIVIDUAL = "individual"

    def covers(self, needed: Reach) -> bool:
        """Whether a caller of this reach may call what needs at least `needed`."""
        return self is Reach.INDIVIDUAL or needed is Reach.AGGREGATE


class PrincipalKind(StrEnum):
    API_KEY = "api_key"
    OAUTH_CLIENT = "oauth_client"
    WORKER = "worker"


class Scope(StrEnum):
    """What a caller may do, as it is written in keys, tokens and the API document."""

    WORKERS = "workers:read"
    ACTIVITY = "activity:read"
    KPIS = "kpis:read"
    METRICS = "metrics:read"
    INSIGHTS = "insights:read"
    BRIEFS = "briefs:read"
    REPORTS = "reports:read"
    HEALTH = "health:read"
    LINEAGE = "lineage:read"
    OPS = "ops:read"
    EXPORTS = "exports:write"
    WEBHOOKS = "webhooks:write"
    ACCESS_LOG = "access_log:read"
    SHARING = "sharing:read"
    WORKER_TOKENS = "worker_tokens:write"

    @property
    def meaning(self) -> str:
        """What it allows, in a line."""
        return _MEANINGS[self]


_MEANINGS = {
    Scope.WORKERS: "list the workers (tokens only)",
    Scope.ACTIVITY: "read workblocks, atomic slices, usage and focus",
    Scope.KPIS: "read daily measures and their rollups",
    Scope.METRICS: "read the catalogue of measures and query the published lattice",
    Scope.INSIGHTS: "read insights and consolidated contexts",
    Scope.BRIEFS: "read briefs",
    Scope.REPORTS: "read workblock and chat reports",
    Scope.HEALTH: "read telemetry health and its anomalies",
    Scope.LINEAGE: "trace an id back to the records it came from",
    Scope.OPS: "read runs, and tables with their versions and freshness",
    Scope.EXPORTS: "make exports and download them",
    Scope.WEBHOOKS: "register webhook endpoints, read their deliveries and send again",
    Scope.ACCESS_LOG: "read who read a worker's rows",
    Scope.SHARING: "read tables by Delta Sharing",
    Scope.WORKER_TOKENS: "make short-lived tokens for single workers",
}

WORKER_SCOPES = frozenset(
    {Scope.ACTIVITY, Scope.KPIS, Scope.INSIGHTS, Scope.BRIEFS, Scope.REPORTS, Scope.HEALTH, Scope.ACCESS_LOG}
)
"""Scopes of a worker's own token; what they open to it is what a route allows to workers."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    `principal_id` is the key's or client's id, `worker:<worker id>` for a worker's token. `worker_ids` are
    the workers whose rows it is limited to, None for all of the tenant.
    """

    kind: PrincipalKind
    principal_id: str
    name: str
    tenant_id: str
    reach: Reach
    scopes: frozenset[Scope]
    worker_ids: frozenset[str] | None = None
