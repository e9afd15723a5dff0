"""Usage statistics: the top apps, domains and URLs of a worker's day (docs/domain.md section 4).

Seconds are evidence in kept workblocks. Of synthetic activities that overlap, a name counts the union:

    firefox  example.org  ├──────────┤
    chrome   example.org      ├──────────┤      example.org: 6 minutes, firefox and chrome 4 each
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import polars as pl
from publicsuffixlist import PublicSuffixList

from coworkai.common.tables import GOLD_USAGE
from coworkai.runner.lanes import (
    NONE,
    SECOND_US,
    Ints,
    Mask,
    Strings,
    gather,
    run_lengths,
    run_starts,
    string_codes,
    sums_by,
    totals,
)
from coworkai.runner.stage1.activities import Activities, Words
from coworkai.runner.stage1.rules import Stage1Rules
from coworkai.runner.stage1.workblocks import Blocks
from coworkai.runner.stage1.worker_days import STRIDE, WorkerDays

USAGE = pl.Schema([(name, dtype) for name, dtype in GOLD_USAGE.schema.items() if name != "run_id"])
_HOST = r"(?i)^(?:https?|wss?|ftps?)://(?:[^/?#]*@)?(\[[^\]]*\]|[^/:?#]+)"


def usage_statistics(
    activities: Activities, words: Words, blocks: Blocks, days: WorkerDays, rules: Stage1Rules
) -> pl.DataFrame:
    """The columns of USAGE, by worker-day, kind and rank. Names that nothing was seen of are left out."""
    kept = np.flatnonzero(blocks.is_kept[blocks.of_activity])
    addressed = kept[activities.url[kept] != NONE]
    url = activities.url[addressed]
    domains = _domains(words.urls)
    of_apps = _Evidence.of(activities, kept, len(days))
    of_urls = _Evidence.of(activities, addressed, len(days))
    tops = {
        "app": of_apps.top(words.apps, activities.app[kept], rules.usage_top),
        "domain": of_urls.top(domains, domains.codes[0][url], rules.usage_top),
        "url": of_urls.top(words.urls, url, rules.usage_top),
    }
    day = np.concatenate([top.day for top in tops.values()])
    rank = np.concatenate([top.rank for top in tops.values()])
    us = np.concatenate([top.us for top in tops.values()])
    kind = np.repeat(np.arange(len(tops)), [len(top.day) for top in tops.values()])
    order = np.lexsort((rank, kind, day))
    active_us = totals(blocks.day[blocks.is_kept], blocks.active_us[blocks.is_kept], len(days))
    return pl.DataFrame(
        days.columns(day[order])
        | {
            "kind": gather(pl.Series(list(tops), dtype=pl.String), kind[order]),
            "rank": pl.Series(rank[order], dtype=pl.Int32),
            "name": gather(pl.concat([top.name for top in tops.values()]), order),
            "duration_s": us[order] / SECOND_US,
            "day_share": (us / active_us[day])[order],
        }
    ).match_to_schema(USAGE)


@lru_cache(maxsize=65_536)
def registrable_domain(host: str) -> str:
    """The part of a host name that can be registered, by the public suffix list, in lower case.

    `www.bbc.co.uk` → `bbc.co.uk`, `me.github.io` → `me.github.io`. An address, a single label and a public
    suffix itself are their own domain.
    """
    name = host.lower().strip(".")
    if name.startswith("[") or name.replace(".", "").isdigit():
        return name
    return _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def domain_of(url: pl.Expr) -> pl.Expr:
    """Registrable domain of each URL that has a host, else null."""
    return url.str.extract(_HOST, 1).map_elements(registrable_domain, return_dtype=pl.String)


def _domains(urls: Strings) -> Strings:
    """Domains by URL code, of URLs with a host."""
    hosts = string_codes(urls.values.str.extract(_HOST, 1))
    # The suffix list has no vectorised form: one look-up for every distinct host of the batch.
    domains = string_codes(pl.Series([registrable_domain(host) for host in hosts.values], dtype=pl.String))
    return Strings(domains.values, (np.append(domains.codes[0], NONE)[hosts.codes[0]],))


@dataclass(frozen=True, slots=True)
class _Top:
    """Names with most evidence of each day, by day and rank from 1."""

    day: Ints
    rank: Ints
    name: pl.Series
    us: Ints


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Activities in order of start; `overlapping` marks those that another one overlaps."""

    days: int
    day: Ints
    start: Ints
    end: Ints
    overlapping: Mask

    @classmethod
    def of(cls, activities: Activities, chosen: Ints, days: int) -> _Evidence:
        return cls(
            days,
            activities.day[chosen],
            activities.start[chosen],
            activities.end[chosen],
            activities.overlapping[chosen],
        )

    def top(self, names: Strings, codes: Ints, limit: int) -> _Top:
        """The `limit` names with most evidence of every day; `codes` are by activity."""
        total = max(len(names), 1)
        by_name = names.values.arg_sort().to_numpy()
        place = np.full(total + 1, NONE)
        place[by_name] = np.arange(len(names))
        keys, us = self.microseconds_by(place[codes], total)
        day, name = keys // total, by_name[keys % total]
        # Keys are in order of day and name, so a stable sort by day and time leaves ties by name.
        order = np.argsort(day * STRIDE - us, kind="stable")
        day, name, us = day[order], name[order], us[order]
        first = np.flatnonzero(run_starts(day))
        rank = np.arange(1, len(day) + 1) - np.repeat(first, run_lengths(first, len(day)))
        listed = (rank <= limit) & (us > 0)
        return _Top(day[listed], rank[listed], gather(names.values, name[listed]).alias(""), us[listed])

    def microseconds_by(self, name: Ints, names: int) -> tuple[Ints, Ints]:
        """Keys `day * names + name` of the activities with a name, and the union of their evidence."""
        has_name = name != NONE
        length = self.end - self.start
        overlapping = np.flatnonzero(self.overlapping & has_name)
        if len(overlapping):
            length[overlapping] = self._uncounted(name, overlapping)
        keys = self.day * names + name
        if not has_name.all():
            keys, length = keys[has_name], length[has_name]
        return sums_by(keys, length, self.days * names)

    def _uncounted(self, name: Ints, chosen: Ints) -> Ints:
        """What each of the chosen activities adds to those of its name before it."""
        order = np.lexsort((self.start[chosen], name[chosen]))
        start, end = self.start[chosen][order], self.end[chosen][order]
        named = pl.DataFrame({"name": name[chosen][order], "end": end})
        latest = named.select(pl.col("end").cum_max().shift(1, fill_value=0).over("name")).to_series()
        added = np.empty(len(order), np.int64)
        added[order] = np.maximum(end - np.maximum(start, latest.to_numpy()), 0)
        return added
