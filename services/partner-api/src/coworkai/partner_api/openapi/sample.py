"""The examples of the document, asked of the sample organisation: writes `examples.json`.

coworkai demo --data D; coworkai up --data D; and in another terminal
python -m coworkai.partner_api.openapi.sample http://127.0.0.1:8084 KEY AGGREGATE_KEY

    every operation, once ─▶ lists cut short, but statements with all that they rest on ─▶ no secret, no host

KEY is of individual reach and all scopes, AGGREGATE_KEY of aggregate reach. What the calls make, a webhook
endpoint among them, is removed again, but for an export.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import httpx

from coworkai.partner_api.resources import RESOURCES

HOST = "https://partner.example"
RECEIVER = "https://hooks.example"
LONGEST_LIST = 2
LONGEST_TEXT = 600
WHOLE = frozenset({"claims", "scopes", "scopes_supported", "keys", "secrets"})
"""Lists that mean something else when a part is left out."""
SECRETS = {"access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.…", "secret": "whsec_…"}
READY_IN_S = 30.0


class Ask(Protocol):
    """Asks the API; the JSON that it answers, None where it answers none."""

    def __call__(self, method: str, path: str, body: object = None, **query: object) -> Any: ...


def asking(base: str, key: str) -> Ask:
    client = httpx.Client(base_url=base, headers={"authorization": f"Bearer {key}"}, timeout=60)

    def ask(method: str, path: str, body: object = None, **query: object) -> Any:
        params = httpx.QueryParams({name: str(value) for name, value in query.items()})
        answer = client.request(method, path, params=params, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    return ask


def answers(ask: Ask, aggregate: Ask) -> Iterator[tuple[str, Any]]:
    """An answer of each operation, by operation id."""
    lists = {path: ask("GET", f"/v1/{path}", limit=1) for path in RESOURCES}
    for path, listed in lists.items():
        yield RESOURCES[path].operation, listed
    block, insight, context, run = (
        lists[path]["data"][0] for path in ("workblocks", "insights", "contexts", "runs")
    )
    worker = block["worker_id"]
    yield "get_workblock", ask("GET", f"/v1/workblocks/{block['workblock_id']}")
    yield "get_insight", ask("GET", f"/v1/insights/{insight['insight_id']}")
    yield "get_context", ask("GET", f"/v1/contexts/{context['context_id']}")
    yield "get_run", ask("GET", f"/v1/runs/{run['run_id']}")
    yield "get_report", ask("GET", f"/v1/reports/{worker}/{block['date']}", format="json")
    brief = ask("GET", f"/v1/workers/{worker}/brief")
    yield "get_worker_brief", brief
    yield "get_brief", ask("GET", f"/v1/briefs/{brief['brief_id']}")
    yield "list_brief_statements", ask("GET", f"/v1/briefs/{brief['brief_id']}/statements")
    yield "get_lineage", ask("GET", f"/v1/lineage/{brief['fact_ids'][0]}")
    yield "list_workers", ask("GET", "/v1/workers", limit=1)
    yield "get_worker", ask("GET", f"/v1/workers/{worker}")
    yield "list_tables", ask("GET", "/v1/tables")
    yield "get_table", ask("GET", "/v1/tables/gold/workblocks")
    yield "list_metrics", ask("GET", "/v1/metrics")
    yield "query_metrics", _cells(aggregate, block["date"])
    yield "get_me", ask("GET", "/v1/me")
    yield "list_access_log", ask("GET", "/v1/access-log", worker_id=worker, limit=1)
    yield "create_worker_token", ask("POST", "/v1/worker-tokens", {"worker_id": worker})
    yield "get_key_set", ask("GET", "/.well-known/jwks.json")
    yield "get_authorization_server", ask("GET", "/.well-known/oauth-authorization-server")
    yield from _export(ask)
    yield from _webhooks(ask)
    share = "/delta-sharing/shares"
    yield "delta_sharing_list_shares", ask("GET", share)
    yield "delta_sharing_get_share", ask("GET", f"{share}/coworkai")
    yield "delta_sharing_list_all_tables", ask("GET", f"{share}/coworkai/all-tables")
    yield "delta_sharing_list_schemas", ask("GET", f"{share}/coworkai/schemas")
    yield "delta_sharing_list_tables", ask("GET", f"{share}/coworkai/schemas/gold/tables")
    yield "get_problem", ask("GET", "/problems/not_found")
    yield "list_problems", ask("GET", "/problems")


def _cells(aggregate: Ask, day: str) -> Any:
    """A cell of the published lattice that is told, and one that is suppressed."""
    query = {"measures": ["focus_s"], "group_by": ["team", "week"], "start_date": day, "end_date": day}
    found = aggregate("POST", "/v1/metrics/query", query)
    told, suppressed = (
        next(cell for cell in found["data"] if (cell["suppressed"] is not None) is hidden)
        for hidden in (False, True)
    )
    return {**found, "data": [told, suppressed]}


def _export(ask: Ask) -> Iterator[tuple[str, Any]]:
    made = ask("POST", "/v1/exports", {"resource": "kpis/daily", "filters": {"measure": ["focus_s"]}})
    yield "create_export", made
    path = f"/v1/exports/{made['export_id']}"
    yield "get_export", _until(lambda: ask("GET", path), lambda export: export["state"] == "ready")
    yield "list_exports", ask("GET", "/v1/exports", limit=1)


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def _receiving() -> Iterator[str]:
    """The address of a receiver of webhooks on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _webhooks(ask: Ask) -> Iterator[tuple[str, Any]]:
    with _receiving() as address:
        for operation, answer in _webhooks_to(ask, address):
            yield operation, _put(answer, address, RECEIVER)


def _webhooks_to(ask: Ask, address: str) -> Iterator[tuple[str, Any]]:
    path = "/v1/webhook-endpoints"
    asked = {"url": f"{address}/coworkai", "event_types": ["brief.ready", "day.ready"]}
    made = ask("POST", path, asked)
    yield "create_webhook_endpoint", made
    one = f"{path}/{made['endpoint_id']}"
    try:
        yield "list_webhook_endpoints", ask("GET", path)
        yield "get_webhook_endpoint", ask("GET", one)
        sent = ask("POST", f"{one}/ping")
        yield "ping_webhook_endpoint", sent
        delivery = f"/v1/webhook-deliveries/{sent['delivery_id']}"
        delivered = _until(lambda: ask("GET", delivery), lambda one: one["state"] == "delivered")
        yield "get_webhook_delivery", delivered
        yield "redeliver_webhook", ask("POST", f"{delivery}/redeliver")
        yield "list_webhook_deliveries", ask("GET", "/v1/webhook-deliveries", limit=1)
        yield "rotate_webhook_secret", ask("POST", f"{one}/rotate-secret", {})
        yield "update_webhook_endpoint", ask("PATCH", one, {"state": "disabled"})
    finally:
        ask("DELETE", one)


def _until(read: Callable[[], Any], is_done: Callable[[Any], object]) -> Any:
    """What is read once it is done. Raises TimeoutError."""
    ends = time.monotonic() + READY_IN_S
    while not is_done(found := read()):
        if time.monotonic() > ends:
            raise TimeoutError("what was begun did not end")
        time.sleep(0.2)
    return found


# ------------------------------------------------------------------------------------------- shortened
def shortened(answer: Any, base: str) -> Any:
    """An example made of an answer: short, and without secrets and the host that was asked."""
    found = _put(_short(answer), base, HOST)
    if isinstance(found, dict) and "brief" in found:
        cited = set(_cited(found["brief"]))
        evidence = answer["brief"]["evidence"]
        found["brief"]["evidence"] = [one for one in evidence if one["fact_id"] in cited]
    return found


def _cited(part: Any) -> Iterator[str]:
    """Ids of the facts that statements inside claim."""
    if isinstance(part, list):
        for each in part:
            yield from _cited(each)
    elif isinstance(part, dict):
        yield from (claim["fact_id"] for claim in part.get("claims", ()))
        for each in part.values():
            yield from _cited(each)


def _put(part: Any, base: str, host: str) -> Any:
    """The answer with another host in the place of one."""
    return json.loads(json.dumps(part).replace(base, host))


def _short(part: Any, *, is_whole: bool = False) -> Any:
    if isinstance(part, dict):
        # What a statement rests on stays with it.
        whole = WHOLE | {"evidence"} if "claims" in part else WHOLE
        return {
            key: SECRETS[key] if key in SECRETS else _short(each, is_whole=key in whole)
            for key, each in part.items()
        }
    if isinstance(part, list):
        return [_short(each) for each in (part if is_whole else part[:LONGEST_LIST])]
    if isinstance(part, str):
        text = re.sub(r"sig=[0-9a-f]+", "sig=…", part)
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT].rpartition(chr(10))[0]}\n…"
    return part


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Examples of the API document, of a running sample organisation"
    )
    parser.add_argument("base")
    parser.add_argument("key")
    parser.add_argument("aggregate_key")
    args = parser.parse_args(argv)
    found = {
        operation: shortened(answer, args.base)
        for operation, answer in answers(asking(args.base, args.key), asking(args.base, args.aggregate_key))
    }
    path = Path(str(resources.files(__package__).joinpath("examples.json")))
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
