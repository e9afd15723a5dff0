"""The OpenAPI document as one page of HTML: no script, no font, no image, no request but its own.

    document ─▶ sections by tag ─▶ operations: parameters, bodies, answers, an example to paste ─▶ page

Invariant: the same document gives the same bytes. Everything of the document is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from coworkai.partner_api.openapi.document import METHODS
from coworkai.partner_api.problems import KINDS, Code

Json = Mapping[str, Any]

CODE_KEY = "$KEY"
MAX_DEPTH = 4
"""How deep schemas are unfolded."""
MAX_LINES = 60
"""Lines of an example that are shown; the document has all of it."""
LEFT_OUT = ("Idempotency-Key", "If-None-Match")
"""Parameters that the introduction explains for all operations."""
_TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\b\d[\d.eE+-]*|\btrue\b|\bfalse\b|\bnull\b)')
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and the policy that allows it what it needs: its own style and nothing else."""

    body: bytes
    policy: str


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter, or a property of a schema, `depth` levels inside."""

    name: str
    kind: str
    required: bool
    description: str
    values: Sequence[str] = ()
    depth: int = 0
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece of text to look at or paste."""

    title: str
    text: Markup


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, or one event of a webhook."""

    anchor: str
    method: str
    path: str
    title: str
    description: str
    access: Sequence[str]
    deprecated: bool
    parameters: Sequence[Row]
    body: Sequence[Row]
    answer: Sequence[Row]
    statuses: Sequence[tuple[str, str]]
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Section:
    """A tag, with its operations."""

    anchor: str
    title: str
    description: str
    operations: Sequence[Operation]


def render(document: Json, base_url: str) -> Page:
    """The page of a document; examples call `base_url`."""
    css = _resource("page.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    body = _template().render(
        info=document["info"],
        base_url=base_url,
        css=Markup(css),  # noqa: S704 - a file of this package
        schemes=document["components"]["securitySchemes"].values(),
        sections=list(_sections(document, base_url)),
        events=[_event(document, name, item["post"]) for name, item in document["webhooks"].items()],
        codes=[(KINDS[code].status, code.value, KINDS[code].meaning) for code in Code],
    )
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body.encode(), policy)


@cache
def _template() -> Any:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"prose": prose, "inline": inline, "breakable": breakable}
    return environment.from_string(_resource("page.html.jinja"))


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


# ----------------------------------------------------------------------------------------- operations
def _sections(document: Json, base_url: str) -> Iterator[Section]:
    for tag in document["tags"]:
        found = [
            _operation(document, path, method, item[method], base_url)
            for path, item in document["paths"].items()
            for method in METHODS
            if method in item and tag["name"] in item[method]["tags"]
        ]
        if found:
            title = tag.get("x-displayName", tag["name"])
            # What everybody calls comes before the addresses that standards prescribe.
            found.sort(key=lambda one: not one.path.startswith("/v1/"))
            yield Section(f"tag-{tag['name']}", title, tag["description"], found)


def _operation(document: Json, path: str, method: str, declared: Json, base_url: str) -> Operation:
    parameters = [_resolved(document, one) for one in declared.get("parameters", ())]
    _, media = _media(declared.get("requestBody", {}))
    status, success = next((s, one) for s, one in declared["responses"].items() if s.startswith("2"))
    answered_type, answered = _media(success)
    command = _command(document, declared, path, method, base_url)
    samples = [Sample("curl", _shell(command))]
    if "example" in answered or "examples" in answered:
        title = f"{status} {answered_type}"
        example = answered.get("example") or next(iter(answered["examples"].values()))["value"]
        samples.append(Sample(title, _json(example)))
    samples += [
        Sample(f"{status} {other}", escape(content["example"]))
        for other, content in success.get("content", {}).items()
        if other != answered_type and isinstance(content.get("example"), str)
    ]
    return Operation(
        anchor=declared["operationId"],
        method=method.upper(),
        path=path,
        title=declared["summary"],
        description=_without_access(declared),
        access=_access(declared),
        deprecated=declared.get("deprecated", False),
        parameters=[_parameter(document, one) for one in parameters if one["name"] not in LEFT_OUT],
        body=list(_rows(document, media.get("schema", {}))),
        answer=list(_rows(document, answered.get("schema", {}))),
        statuses=[
            (code, _resolved(document, one)["description"]) for code, one in declared["responses"].items()
        ],
        samples=samples,
    )


def _event(document: Json, name: str, declared: Json) -> Operation:
    _, media = _media(declared["requestBody"])
    parameters = [_resolved(document, one) for one in declared.get("parameters", ())]
    example = media.get("example")
    return Operation(
        anchor=declared["operationId"],
        method="POST",
        path="your endpoint",
        title=name,
        description=declared["description"],
        access=(),
        deprecated=False,
        parameters=[_parameter(document, one) for one in parameters],
        body=list(_rows(document, media["schema"])),
        answer=(),
        statuses=(),
        samples=[] if example is None else [Sample("Body", _json(example))],
    )


def _access(declared: Json) -> list[str]:
    """What it needs of its caller, as labels."""
    needs = declared.get("x-coworkai-access")
    if needs is None:
        return ["no credentials"]
    labels = [] if needs["scope"] is None else [needs["scope"]]
    labels.append("individual reach" if needs["reach"] == "individual" else "either reach")
    if needs["workers"]:
        labels.append("workers’ tokens")
    if not needs["limited"]:
        labels.append("not for limited keys")
    return labels


def _without_access(declared: Json) -> str:
    """The description without its last paragraph, which the labels tell."""
    text: str = declared["description"]
    return text.rpartition("\n\n")[0] if "x-coworkai-access" in declared else text


# -------------------------------------------------------------------------------------------- schemas
def _parameter(document: Json, declared: Json) -> Row:
    schema = _resolved(document, declared["schema"])
    return Row(
        name=declared["name"],
        kind=_kind(schema),
        required=declared.get("required", False),
        description=declared.get("description", ""),
        values=_values(schema),
        default=_default(schema),
    )


def _rows(document: Json, schema: Json, depth: int = 0, seen: tuple[str, ...] = ()) -> Iterator[Row]:
    """The properties of a schema and, right below each, of what it holds."""
    schema, seen = _inner(document, schema, seen)
    if depth == MAX_DEPTH:
        return
    required = schema.get("required", ())
    for name, declared in schema.get("properties", {}).items():
        target, _ = _inner(document, declared, seen)
        yield Row(
            name=name,
            kind=_kind(declared),
            required=name in required,
            description=declared.get("description", target.get("description", "")),
            values=_values(declared) or _values(target),
            depth=depth,
            default=_default(declared),
        )
        yield from _rows(document, declared, depth + 1, seen)


def _inner(document: Json, schema: Json, seen: tuple[str, ...]) -> tuple[Json, tuple[str, ...]]:
    """The object that a schema is, or has a list of or a choice with null; empty where it repeats itself."""
    while True:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in seen:
                return {}, seen
            schema, seen = document["components"]["schemas"][name], (*seen, name)
        elif schema.get("type") == "array" and "items" in schema:
            schema = schema["items"]
        elif "anyOf" in schema:
            schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
        else:
            return schema, seen


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    return str(schema.get("format") or schema.get("type", "any"))


def _values(schema: Json) -> Sequence[str]:
    if "anyOf" in schema:
        return [value for each in schema["anyOf"] for value in _values(each)]
    return [str(value) for value in schema.get("enum", schema.get("items", {}).get("enum", ()))]


def _default(schema: Json) -> str | None:
    default = schema.get("default")
    return None if default in (None, [], {}, "") else json.dumps(default, ensure_ascii=False)


def _resolved(document: Json, node: Json) -> Json:
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    resolved: Json = found
    return resolved


def _media(holder: Json) -> tuple[str, Json]:
    """The first content of a body or an answer, and its media type."""
    return next(iter(holder.get("content", {}).items()), ("", {}))


# ------------------------------------------------------------------------------------------- examples
def _command(document: Json, declared: Json, path: str, method: str, base_url: str) -> str:
    """The operation by curl, with the examples of the document."""
    media_type, media = _media(declared.get("requestBody", {}))
    query = []
    for one in (_resolved(document, each) for each in declared.get("parameters", ())):
        example = one.get("example", _example_of(document, one["schema"]))
        text = ",".join(map(str, example)) if isinstance(example, list) else str(example)
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", quote(text, safe=":"))
        elif one["in"] == "query" and one.get("required"):
            query.append(f"{one['name']}={quote(text, safe=':,')}")
    url = f"{base_url}{path}{'?' + '&'.join(query) if query else ''}"
    parts = ["curl"]
    if method == "head":
        parts.append("-I")
    elif method != "get" and not (method == "post" and media):
        parts.append(f"-X {method.upper()}")
    if not path.startswith(("/oauth", "/.well-known", "/problems")):
        parts.append(f'-H "Authorization: Bearer {CODE_KEY}"')
    parts.append(f'"{url}"')
    if media_type == "application/json":
        body = json.dumps(media.get("example", {}), ensure_ascii=False, indent=2)
        quoted = body.replace("'", "'\\''")
        parts += ['-H "Content-Type: application/json"', f"-d '{quoted}'"]
    elif media_type:
        parts += ["-d grant_type=client_credentials", "-u $CLIENT_ID:$CLIENT_SECRET"]
    return " \\\n  ".join([" ".join(parts[:2]), *parts[2:]])


def _example_of(document: Json, schema: Json) -> object:
    schema, _ = _inner(document, schema, ())
    examples = schema.get("examples") or schema.get("enum") or ["text"]
    return examples[0]


def _json(value: object) -> Markup:
    """Indented JSON, coloured, cut after MAX_LINES lines with what is left told."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    shown = "\n".join(lines[:MAX_LINES])
    rest = len(lines) - MAX_LINES
    more = Markup('\n<i class="more">… {} more lines</i>').format(rest) if rest > 0 else Markup()
    return _coloured(shown) + more


def _coloured(text: str) -> Markup:
    found, at = Markup(), 0
    for match in _TOKENS.finditer(text):
        found += escape(text[at : match.start()])
        string, colon, other = match.groups()
        if colon is not None:
            found += Markup('<b class="k">{}</b>{}').format(string, colon)
        elif string is not None:
            found += Markup('<b class="s">{}</b>').format(string)
        else:
            found += Markup('<b class="n">{}</b>').format(other)
        at = match.end()
    return found + escape(text[at:])


def _shell(command: str) -> Markup:
    return Markup('<b class="k">curl</b>') + _coloured(command.removeprefix("curl"))


# ------------------------------------------------------------------------------------------------ text
def prose(text: str) -> Markup:
    """Paragraphs of text with `code` and **strong** in it."""
    paragraphs = [inline(each.replace("\n", " ")) for each in text.strip().split("\n\n")]
    return Markup("\n").join(Markup("<p>{}</p>").format(each) for each in paragraphs)


def inline(text: str) -> Markup:
    """Text with `code` and **strong** in it."""
    found, at = Markup(), 0
    for match in _INLINE.finditer(text):
        code, strong = match.groups()
        found += escape(text[at : match.start()])
        found += (
            Markup("<code>{}</code>").format(code) if code else Markup("<strong>{}</strong>").format(strong)
        )
        at = match.end()
    return found + escape(text[at:])


def breakable(name: str) -> Markup:
    """A long name that may go on in the next line after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))
