"""The API's operations. Made from the API document by `make client`: do not edit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from coworkai_client import models
from coworkai_client.transport import Page, Pages, TablePages, Transport, segment


class Operations:
    """A method for each operation. Refusals raise ApiError, broken connections httpx.TransportError."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def list_access_log(
        self,
        *,
        worker_id: str | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[models.AccessLogEntry]:
        """List who read a worker's rows.

        Reads by keys and clients, newest first. A worker's own reads are not in it.

        Needs the scope `access_log:read`; individual reach; a worker's token will do.

        worker_id: whose; a worker's token needs none
        start_date: first UTC date of the reads
        end_date: last UTC date, inclusive
        limit: entries of a page
        cursor: `next_cursor` of the page before
        """
        return Pages(
            self.transport,
            "/v1/access-log",
            models.AccessLogEntry,
            {
                "worker_id": worker_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def get_me(self) -> models.Me:
        """Who am I.

        Tell who the credentials of this request belong to and what they may do.

        No scope is needed; either reach; a worker's token will do.
        """
        return self.transport.fetch("GET", "/v1/me", models.Me)

    def create_worker_token(
        self, body: models.NewWorkerToken, *, idempotency_key: str | None = None
    ) -> models.WorkerToken:
        """Make a worker's token.

        Make a token that reads one worker's own rows, reports, briefs and access log, and nothing
        else.

        It ends with the credentials that made it, when they are revoked.

        Needs the scope `worker_tokens:write`; individual reach; not for workers' tokens.
        """
        return self.transport.fetch(
            "POST", "/v1/worker-tokens", models.WorkerToken, body=body, idempotency_key=idempotency_key
        )

    def list_workers(
        self, *, limit: int | None = None, cursor: str | None = None, as_of_version: int | None = None
    ) -> TablePages[models.Worker]:
        """List workers.

        Workers with published data, in order of their ids.

        Needs the scope `workers:read`; individual reach; not for workers' tokens.

        limit: rows of a page
        cursor: `next_cursor` of the page before
        as_of_version: read what was published at this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/workers",
            models.Worker,
            {"limit": limit, "cursor": cursor, "as_of_version": as_of_version},
        )

    def get_worker(self, worker_id: str, *, as_of_version: int | None = None) -> models.Worker:
        """Get a worker.

        What there is of a worker.

        Needs the scope `workers:read`; individual reach; not for workers' tokens.

        worker_id: worker, as `/v1/workers` lists them
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET", f"/v1/workers/{segment(worker_id)}", models.Worker, query={"as_of_version": as_of_version}
        )

    def list_atomic_slices(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        workblock_id: str | Sequence[str] | None = None,
        app: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.AtomicSlice]:
        """List atomic slices.

        One context (app, and URL or title) inside a workblock.

        Needs the scope `activity:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        workblock_id: slices of this workblock; may be repeated
        app: normalised application name; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/atomic-slices",
            models.AtomicSlice,
            {
                "worker_id": worker_id,
                "workblock_id": workblock_id,
                "app": app,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_focus_blocks(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.FocusBlock]:
        """List focus blocks.

        Stretches of focused work: what the measures `focus_blocks` and `focus_s` count and sum.

        Needs the scope `activity:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/focus-blocks",
            models.FocusBlock,
            {
                "worker_id": worker_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_usage(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        kind: Literal["app", "domain", "url"] | Sequence[Literal["app", "domain", "url"]] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Usage]:
        """List top apps, domains and URLs.

        Top 10 apps, domains and URLs of a worker's day.

        Needs the scope `activity:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        kind: what is ranked; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/usage",
            models.Usage,
            {
                "worker_id": worker_id,
                "kind": kind,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_workblocks(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Workblock]:
        """List workblocks.

        Stretches of work with no break over 60 minutes.

        Needs the scope `activity:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/workblocks",
            models.Workblock,
            {
                "worker_id": worker_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_workblock(self, workblock_id: str, *, as_of_version: int | None = None) -> models.Workblock:
        """Get a workblock.

        A workblock by its id; its slices are `/v1/atomic-slices?workblock_id=`.

        Needs the scope `activity:read`; individual reach; a worker's token will do.

        workblock_id: id of a workblock
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/workblocks/{segment(workblock_id)}",
            models.Workblock,
            query={"as_of_version": as_of_version},
        )

    def list_kpis_daily(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        measure: Literal[
            "active_s",
            "idle_s",
            "active_net_s",
            "workblocks",
            "longest_block_s",
            "focus_blocks",
            "focus_s",
            "focus_ratio",
            "context_switches",
            "context_switches_per_hour",
            "median_dwell_s",
            "fragmentation",
            "tool_entropy",
            "after_hours_s",
            "keys",
            "typing_density",
            "backspaces",
            "backspace_rate",
            "shortcuts",
            "shortcut_share",
            "copy_pastes",
            "copy_paste_per_hour",
            "goals_declared",
            "goals_done",
            "kpi_attainment",
        ]
        | Sequence[
            Literal[
                "active_s",
                "idle_s",
                "active_net_s",
                "workblocks",
                "longest_block_s",
                "focus_blocks",
                "focus_s",
                "focus_ratio",
                "context_switches",
                "context_switches_per_hour",
                "median_dwell_s",
                "fragmentation",
                "tool_entropy",
                "after_hours_s",
                "keys",
                "typing_density",
                "backspaces",
                "backspace_rate",
                "shortcuts",
                "shortcut_share",
                "copy_pastes",
                "copy_paste_per_hour",
                "goals_declared",
                "goals_done",
                "kpi_attainment",
            ]
        ]
        | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.DailyKpi]:
        """List daily measures of workers.

        Measures of the KPI catalogue per worker and day.

        Needs the scope `kpis:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        measure: name of a measure in the catalogue; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/kpis/daily",
            models.DailyKpi,
            {
                "worker_id": worker_id,
                "measure": measure,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_kpis_rollups(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        period: Literal["day", "week"] | Sequence[Literal["day", "week"]] | None = None,
        level: Literal["worker", "team", "department", "tenant"]
        | Sequence[Literal["worker", "team", "department", "tenant"]]
        | None = None,
        group_id: str | Sequence[str] | None = None,
        measure: Literal[
            "active_s",
            "idle_s",
            "active_net_s",
            "workblocks",
            "longest_block_s",
            "focus_blocks",
            "focus_s",
            "focus_ratio",
            "context_switches",
            "context_switches_per_hour",
            "median_dwell_s",
            "fragmentation",
            "tool_entropy",
            "after_hours_s",
            "keys",
            "typing_density",
            "backspaces",
            "backspace_rate",
            "shortcuts",
            "shortcut_share",
            "copy_pastes",
            "copy_paste_per_hour",
            "goals_declared",
            "goals_done",
            "kpi_attainment",
        ]
        | Sequence[
            Literal[
                "active_s",
                "idle_s",
                "active_net_s",
                "workblocks",
                "longest_block_s",
                "focus_blocks",
                "focus_s",
                "focus_ratio",
                "context_switches",
                "context_switches_per_hour",
                "median_dwell_s",
                "fragmentation",
                "tool_entropy",
                "after_hours_s",
                "keys",
                "typing_density",
                "backspaces",
                "backspace_rate",
                "shortcuts",
                "shortcut_share",
                "copy_pastes",
                "copy_paste_per_hour",
                "goals_declared",
                "goals_done",
                "kpi_attainment",
            ]
        ]
        | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.KpiRollup]:
        """List measures rolled up by worker, team, department, tenant and week.

        Measures per worker, team, department and tenant, by day and week; not for aggregate
        readers.

        Needs the scope `kpis:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        period: what the row is of; may be repeated
        level: kind of group; may be repeated
        group_id: name of the group, or the worker's id; may be repeated
        measure: name of a measure in the catalogue; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/kpis/rollups",
            models.KpiRollup,
            {
                "worker_id": worker_id,
                "period": period,
                "level": level,
                "group_id": group_id,
                "measure": measure,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_metrics(self) -> Pages[models.Metric]:
        """List the catalogue of measures.

        Every measure: what it is called, its unit, how it is computed and aggregated, and when it
        is null.

        Needs the scope `metrics:read`; either reach; not for workers' tokens.
        """
        return Pages(self.transport, "/v1/metrics", models.Metric, {})

    def query_metrics(
        self, body: models.MetricsQuery, *, idempotency_key: str | None = None
    ) -> Page[models.Cell]:
        """Query measures of workers, teams, departments and the tenant.

        Measures by group and period.

        Credentials of aggregate reach get cells of the published lattice as they are: teams,
        departments and the
        tenant by day or week, a day after the period is over, suppressed where they would tell of
        few people.
        Their `X-Data-Version` is the lattice's own. What is not in the lattice is refused.
        Credentials of
        individual reach get values as they are now, computed from workers' days. An answer is
        whole, or refused
        as too large.

        Needs the scope `metrics:read`; either reach; not for workers' tokens.
        """
        return self.transport.page(
            "POST", "/v1/metrics/query", models.Cell, body=body, idempotency_key=idempotency_key
        )

    def list_contexts(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Context]:
        """List consolidated contexts.

        Consolidated contexts that briefs were written from: what fitted into the token budget, what
        did not.

        Needs the scope `insights:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/contexts",
            models.Context,
            {
                "worker_id": worker_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_context(self, context_id: str, *, as_of_version: int | None = None) -> models.Context:
        """Get a consolidated context.

        What went into a consolidated context and what did not; as markdown, the context itself.

        Needs the scope `insights:read`; individual reach; a worker's token will do.

        context_id: id of a consolidated context
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/contexts/{segment(context_id)}",
            models.Context,
            query={"as_of_version": as_of_version},
        )

    def get_context_markdown(self, context_id: str, *, as_of_version: int | None = None) -> str:
        """Get a consolidated context.

        What went into a consolidated context and what did not; as markdown, the context itself.

        Needs the scope `insights:read`; individual reach; a worker's token will do.

        context_id: id of a consolidated context
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.send(
            "GET",
            f"/v1/contexts/{segment(context_id)}",
            query={"as_of_version": as_of_version},
            accept="text/markdown",
        ).text

    def list_insights(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        kind: Literal["workblock", "chat"] | Sequence[Literal["workblock", "chat"]] | None = None,
        type_: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Insight]:
        """List insights.

        What is worth knowing of a worker's day: one statement each, with the facts that it rests
        on.

        Needs the scope `insights:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        kind: what they are drawn from; may be repeated
        type_: what they are about; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/insights",
            models.Insight,
            {
                "worker_id": worker_id,
                "kind": kind,
                "type": type_,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_insight(self, insight_id: str, *, as_of_version: int | None = None) -> models.Insight:
        """Get an insight.

        An insight by its id. Its claims lead to their origin by `/v1/lineage`.

        Needs the scope `insights:read`; individual reach; a worker's token will do.

        insight_id: id of an insight; it may hold slashes
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/insights/{segment(insight_id)}",
            models.Insight,
            query={"as_of_version": as_of_version},
        )

    def list_briefs(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        subject_kind: Literal["worker", "team"] | Sequence[Literal["worker", "team"]] | None = None,
        subject_id: str | Sequence[str] | None = None,
        all_versions: bool | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.BriefVersion]:
        """List briefs.

        Every version of every brief; the highest version of a subject and date is the current one.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        subject_kind: what they are about; may be repeated
        subject_id: the worker's id, or the team's name; may be repeated
        all_versions: versions that a later one replaced, too
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/briefs",
            models.BriefVersion,
            {
                "worker_id": worker_id,
                "subject_kind": subject_kind,
                "subject_id": subject_id,
                "all_versions": all_versions,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_brief(self, brief_id: str, *, as_of_version: int | None = None) -> models.Brief:
        """Get a brief.

        A brief by its id: JSON, or markdown with `Accept: text/markdown`.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        brief_id: id of a brief's version
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET", f"/v1/briefs/{segment(brief_id)}", models.Brief, query={"as_of_version": as_of_version}
        )

    def get_brief_markdown(self, brief_id: str, *, as_of_version: int | None = None) -> str:
        """Get a brief.

        A brief by its id: JSON, or markdown with `Accept: text/markdown`.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        brief_id: id of a brief's version
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.send(
            "GET",
            f"/v1/briefs/{segment(brief_id)}",
            query={"as_of_version": as_of_version},
            accept="text/markdown",
        ).text

    def list_brief_statements(
        self, brief_id: str, *, as_of_version: int | None = None
    ) -> Pages[models.Statement]:
        """List a brief's statements with their evidence.

        Every statement in reading order, whole: a brief has no second page.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        brief_id: id of a brief's version
        as_of_version: read what was published at this `X-Data-Version`
        """
        return Pages(
            self.transport,
            f"/v1/briefs/{segment(brief_id)}/statements",
            models.Statement,
            {"as_of_version": as_of_version},
        )

    def get_worker_brief(
        self, worker_id: str, *, date: dt.date | None = None, as_of_version: int | None = None
    ) -> models.Brief:
        """Get a worker's brief of a day.

        The current brief of a worker: JSON, or markdown with `Accept: text/markdown`.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        worker_id: worker, as `/v1/workers` lists them
        date: its primary date; by default the newest there is
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/workers/{segment(worker_id)}/brief",
            models.Brief,
            query={"date": date, "as_of_version": as_of_version},
        )

    def get_worker_brief_markdown(
        self, worker_id: str, *, date: dt.date | None = None, as_of_version: int | None = None
    ) -> str:
        """Get a worker's brief of a day.

        The current brief of a worker: JSON, or markdown with `Accept: text/markdown`.

        Needs the scope `briefs:read`; individual reach; a worker's token will do.

        worker_id: worker, as `/v1/workers` lists them
        date: its primary date; by default the newest there is
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.send(
            "GET",
            f"/v1/workers/{segment(worker_id)}/brief",
            query={"date": date, "as_of_version": as_of_version},
            accept="text/markdown",
        ).text

    def list_reports(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Report]:
        """List workers' days that have a report.

        Workers' days, with the accounting identity that their reports begin from: raw = kept +
        overlapped. The report itself is `/v1/reports/{worker_id}/{date}`.

        Needs the scope `reports:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/reports",
            models.Report,
            {
                "worker_id": worker_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_report(
        self, worker_id: str, date: dt.date, *, as_of_version: int | None = None
    ) -> models.WorkblockReport:
        """Get the report of a worker's day.

        Workblocks, slices, usage, manifests and data quality of the day, as markdown.

        Needs the scope `reports:read`; individual reach; a worker's token will do.

        worker_id: worker, as `/v1/workers` lists them
        date: local date
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/reports/{segment(worker_id)}/{segment(date)}",
            models.WorkblockReport,
            query={"as_of_version": as_of_version},
        )

    def get_report_markdown(self, worker_id: str, date: dt.date, *, as_of_version: int | None = None) -> str:
        """Get the report of a worker's day.

        Workblocks, slices, usage, manifests and data quality of the day, as markdown.

        Needs the scope `reports:read`; individual reach; a worker's token will do.

        worker_id: worker, as `/v1/workers` lists them
        date: local date
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.send(
            "GET",
            f"/v1/reports/{segment(worker_id)}/{segment(date)}",
            query={"as_of_version": as_of_version},
            accept="text/markdown",
        ).text

    def list_telemetry_health(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.TelemetryHealth]:
        """List telemetry health by worker, device and source.

        Audit of what was received, per worker, device, source and day.

        Needs the scope `health:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        source: what was collected; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/telemetry-health",
            models.TelemetryHealth,
            {
                "worker_id": worker_id,
                "source": source,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def list_telemetry_health_anomalies(
        self,
        *,
        worker_id: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        measure: Literal[
            "clock_skew_s",
            "coverage",
            "delay_s",
            "drift_fields",
            "duplicates",
            "late_records",
            "longest_gap_s",
            "overlapped_s",
            "quarantined",
            "records",
        ]
        | Sequence[
            Literal[
                "clock_skew_s",
                "coverage",
                "delay_s",
                "drift_fields",
                "duplicates",
                "late_records",
                "longest_gap_s",
                "overlapped_s",
                "quarantined",
                "records",
            ]
        ]
        | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.HealthAnomaly]:
        """List anomalies of telemetry health.

        Measures of a worker's telemetry that lie far from the same worker's own 28 days before.

        Needs the scope `health:read`; individual reach; a worker's token will do.

        worker_id: rows of this worker; may be repeated
        source: what was collected; may be repeated
        measure: measure of the audit; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/telemetry-health/anomalies",
            models.HealthAnomaly,
            {
                "worker_id": worker_id,
                "source": source,
                "measure": measure,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_lineage(self, id_: str) -> models.Lineage:
        """Trace an id.

        Lead an id back: to the row, the runs and versions, the Silver rows and the records
        collected.

        Needs the scope `lineage:read`; individual reach; not for workers' tokens.

        id_: of a fact, workblock, slice, insight, brief, context or run
        """
        return self.transport.fetch("GET", f"/v1/lineage/{segment(id_)}", models.Lineage)

    def list_runs(
        self,
        *,
        stage: Literal["silver", "stage1", "lattice", "stage2"]
        | Sequence[Literal["silver", "stage1", "lattice", "stage2"]]
        | None = None,
        status: Literal["succeeded", "partial"] | Sequence[Literal["succeeded", "partial"]] | None = None,
        run_id: str | Sequence[str] | None = None,
        start_date: dt.date | None = None,
        end_date: dt.date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        as_of_version: int | None = None,
        since_version: int | None = None,
    ) -> TablePages[models.Run]:
        """List runs of stages.

        Every run of a stage; its last row is what makes outputs visible.

        Needs the scope `ops:read`; individual reach; not for workers' tokens; not for credentials
        limited to some workers.

        stage: stage; may be repeated
        status: how it ended; may be repeated
        run_id: id of the run; may be repeated
        start_date: first local date; by default as far back as a range may be, at most 366 days
        end_date: last local date, inclusive; by default the newest there is. `X-Date-Range` has
          what was taken
        limit: rows of a page
        cursor: `next_cursor` of the page before, with the same query
        as_of_version: read what was published at this `X-Data-Version`
        since_version: only whole dates that were published anew after this `X-Data-Version`
        """
        return TablePages(
            self.transport,
            "/v1/runs",
            models.Run,
            {
                "stage": stage,
                "status": status,
                "run_id": run_id,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
                "as_of_version": as_of_version,
                "since_version": since_version,
            },
        )

    def get_run(self, run_id: str, *, as_of_version: int | None = None) -> models.Run:
        """Get a run.

        A run by its id, as it was published last: what it read and wrote, what it counted.

        Needs the scope `ops:read`; individual reach; not for workers' tokens; not for credentials
        limited to some workers.

        run_id: id of a run
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET", f"/v1/runs/{segment(run_id)}", models.Run, query={"as_of_version": as_of_version}
        )

    def list_tables(self, *, as_of_version: int | None = None) -> Pages[models.PublishedTable]:
        """List published tables.

        Every published table of Silver and Gold, and the runs that made them.

        Needs the scope `ops:read`; individual reach; not for workers' tokens; not for credentials
        limited to some workers.

        as_of_version: read what was published at this `X-Data-Version`
        """
        return Pages(self.transport, "/v1/tables", models.PublishedTable, {"as_of_version": as_of_version})

    def get_table(
        self, layer: models.Layer, name: str, *, as_of_version: int | None = None
    ) -> models.PublishedTable:
        """Get a published table.

        A published table: version, size, freshness and columns.

        Needs the scope `ops:read`; individual reach; not for workers' tokens; not for credentials
        limited to some workers.

        layer: layer of the table
        name: name of the table in its layer
        as_of_version: read what was published at this `X-Data-Version`
        """
        return self.transport.fetch(
            "GET",
            f"/v1/tables/{segment(layer)}/{segment(name)}",
            models.PublishedTable,
            query={"as_of_version": as_of_version},
        )

    def list_exports(self, *, limit: int | None = None, cursor: str | None = None) -> Pages[models.ExportJob]:
        """List exports.

        The caller's own exports, newest first, without addresses.

        Needs the scope `exports:write`; individual reach; not for workers' tokens.

        limit: exports of a page
        cursor: `next_cursor` of the page before
        """
        return Pages(self.transport, "/v1/exports", models.ExportJob, {"limit": limit, "cursor": cursor})

    def create_export(
        self, body: models.NewExport, *, idempotency_key: str | None = None
    ) -> models.ExportJob:
        """Make an export.

        Begin an export. It needs the scope of its list too. Ask for it until its state is `ready`.

        Needs the scope `exports:write`; individual reach; not for workers' tokens.
        """
        return self.transport.fetch(
            "POST", "/v1/exports", models.ExportJob, body=body, idempotency_key=idempotency_key
        )

    def get_export(self, export_id: str) -> models.ExportJob:
        """Get an export.

        An export of the caller's own; when it is ready, with fresh addresses of its files.

        Needs the scope `exports:write`; individual reach; not for workers' tokens.

        export_id: id of an export of yours
        """
        return self.transport.fetch("GET", f"/v1/exports/{segment(export_id)}", models.ExportJob)

    def list_webhook_deliveries(
        self,
        *,
        endpoint_id: str | None = None,
        event_id: str | None = None,
        state: models.DeliveryState | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[models.WebhookDelivery]:
        """List webhook deliveries.

        Deliveries to endpoints that the credentials may know of, newest first; kept for 30 days.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: to this endpoint
        event_id: of this event
        state: in this state
        limit: deliveries of a page
        cursor: `next_cursor` of the page before
        """
        return Pages(
            self.transport,
            "/v1/webhook-deliveries",
            models.WebhookDelivery,
            {
                "endpoint_id": endpoint_id,
                "event_id": event_id,
                "state": state,
                "limit": limit,
                "cursor": cursor,
            },
        )

    def get_webhook_delivery(self, delivery_id: str) -> models.WebhookDeliveryLog:
        """Get a webhook delivery.

        A delivery, and every attempt with its status and duration. Bodies of answers are not kept.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        delivery_id: id of a delivery
        """
        return self.transport.fetch(
            "GET", f"/v1/webhook-deliveries/{segment(delivery_id)}", models.WebhookDeliveryLog
        )

    def redeliver_webhook(
        self, delivery_id: str, *, idempotency_key: str | None = None
    ) -> models.WebhookDelivery:
        """Send a webhook again.

        Send the delivery's event to its endpoint again, under the same `webhook-id`.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        delivery_id: id of a delivery
        """
        return self.transport.fetch(
            "POST",
            f"/v1/webhook-deliveries/{segment(delivery_id)}/redeliver",
            models.WebhookDelivery,
            idempotency_key=idempotency_key,
        )

    def list_webhook_endpoints(self) -> Pages[models.WebhookEndpoint]:
        """List webhook endpoints.

        Endpoints whose events the credentials may have, oldest first; all in one answer.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.
        """
        return Pages(self.transport, "/v1/webhook-endpoints", models.WebhookEndpoint, {})

    def create_webhook_endpoint(
        self, body: models.NewWebhookEndpoint, *, idempotency_key: str | None = None
    ) -> models.WebhookEndpointWithSecret:
        """Register a webhook endpoint.

        Register an endpoint. It is told of what happens from now on; the secret verifies that it is
        us.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.
        """
        return self.transport.fetch(
            "POST",
            "/v1/webhook-endpoints",
            models.WebhookEndpointWithSecret,
            body=body,
            idempotency_key=idempotency_key,
        )

    def get_webhook_endpoint(self, endpoint_id: str) -> models.WebhookEndpoint:
        """Get a webhook endpoint.

        An endpoint, without its secrets.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: id of a webhook endpoint
        """
        return self.transport.fetch(
            "GET", f"/v1/webhook-endpoints/{segment(endpoint_id)}", models.WebhookEndpoint
        )

    def update_webhook_endpoint(
        self, endpoint_id: str, body: models.WebhookEndpointChanges
    ) -> models.WebhookEndpoint:
        """Change a webhook endpoint.

        Change where it sends, what, or whether. Enabled again, it is told of what happens from then
        on.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: id of a webhook endpoint
        """
        return self.transport.fetch(
            "PATCH", f"/v1/webhook-endpoints/{segment(endpoint_id)}", models.WebhookEndpoint, body=body
        )

    def delete_webhook_endpoint(self, endpoint_id: str) -> None:
        """Delete a webhook endpoint.

        Delete it, with the log of its deliveries. Nothing is sent there any more.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: id of a webhook endpoint
        """
        self.transport.send("DELETE", f"/v1/webhook-endpoints/{segment(endpoint_id)}")

    def ping_webhook_endpoint(
        self, endpoint_id: str, *, idempotency_key: str | None = None
    ) -> models.WebhookDelivery:
        """Test a webhook endpoint.

        Send it an event of type `ping`; its delivery shows how it went.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: id of a webhook endpoint
        """
        return self.transport.fetch(
            "POST",
            f"/v1/webhook-endpoints/{segment(endpoint_id)}/ping",
            models.WebhookDelivery,
            idempotency_key=idempotency_key,
        )

    def rotate_webhook_secret(
        self, endpoint_id: str, body: models.SecretRotation, *, idempotency_key: str | None = None
    ) -> models.WebhookEndpointWithSecret:
        """Replace a webhook endpoint's secret.

        Make a new secret. Until the old ones end, every webhook has a signature by each of them.

        Needs the scope `webhooks:write`; either reach; not for workers' tokens; not for credentials
        limited to some workers.

        endpoint_id: id of a webhook endpoint
        """
        return self.transport.fetch(
            "POST",
            f"/v1/webhook-endpoints/{segment(endpoint_id)}/rotate-secret",
            models.WebhookEndpointWithSecret,
            body=body,
            idempotency_key=idempotency_key,
        )
