"""Writes the typed part of the client from the API document: `models.py` and `operations.py`.

python clients/python/generate.py docs/openapi.json           write them
python clients/python/generate.py --check docs/openapi.json   fail when they differ

    schemas that operations and events need ─▶ frozen structs and open enumerations
    operations ─▶ methods: parameters with their types, pages for lists, text for markdown

Delta Sharing and OAuth are left out: they have clients of their own.
"""

from __future__ import annotations

import argparse
import builtins
import json
import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

PACKAGE = Path(__file__).parent / "src" / "coworkai_client"
LEFT_OUT = ("/delta-sharing/", "/oauth/", "/.well-known/", "/problems")
METHODS = ("get", "post", "put", "patch", "delete")
JSON, MARKDOWN, PARQUET = "application/json", "text/markdown", "application/vnd.apache.parquet"
OF_TRANSPORT = {"format", "fields"}
"""Parameters that choose a form of the answer: other methods have those."""
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
FORMATS = {"date": "dt.date", "date-time": "dt.datetime"}
WIDTH = 106
_ARGUMENT = re.compile(r"\w+: ")

MODELS_HEAD = '''"""What the API takes and answers. Made from the API document by `make client`: do not edit.

Fields that the API adds later are ignored, and values that it adds to enumerations are kept as they are.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from coworkai_client.open_enum import OpenEnum
'''
OPERATIONS_HEAD = '''"""The API's operations. Made from the API document by `make client`: do not edit."""

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
'''


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The typed part of the Python client")
    parser.add_argument("document", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    args = parser.parse_args(argv)
    document = json.loads(args.document.read_text(encoding="utf-8"))
    outdated = []
    for name, text in (("models.py", models(document)), ("operations.py", operations(document))):
        path, formatted = PACKAGE / name, _formatted(text, name)
        if path.exists() and path.read_text(encoding="utf-8") == formatted:
            continue
        outdated.append(path)
        if not args.check:
            path.write_text(formatted, encoding="utf-8")
    if args.check and outdated:
        sys.stderr.write(f"{', '.join(map(str, outdated))}: out of date; run `make client`\n")
        return 1
    return 0


# --------------------------------------------------------------------------------------------- models
def models(document: Json) -> str:
    """The module of the schemas that operations and events refer to, directly or not."""
    schemas = document["components"]["schemas"]
    asked, answered = [], []
    for one in _operations(document):
        asked += _refs([one.declared.get("parameters", []), one.body or {}])
        media = one.answer.get(JSON, {})
        row = row_of(media, schemas)
        answered += _refs(media if row is None else row)
    answered += _refs([event["post"]["requestBody"] for event in document.get("webhooks", {}).values()])
    in_answers = _reached(answered, schemas)
    needed = sorted(in_answers | _reached(asked, schemas))
    return MODELS_HEAD + "\n\n".join(
        _model(name, schemas[name], is_open=name in in_answers) for name in needed
    )


def _reached(wanted: list[str], schemas: Json) -> set[str]:
    """These schemas and those that they refer to, directly or not."""
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += _refs(schemas[name])
    return found


def _refs(node: object) -> list[str]:
    if isinstance(node, dict):
        here = [_target(node)] if "schemas" in str(node.get("$ref", "")) else []
        return here + [name for each in node.values() for name in _refs(each)]
    return [name for each in node for name in _refs(each)] if isinstance(node, list) else []


def _model(name: str, schema: Json, *, is_open: bool) -> str:
    """A class. One that is `is_open` is of answers: any text may come where a list of values is today."""
    if "enum" in schema:
        members = "".join(f"    {_constant(value)} = {value!r}\n" for value in schema["enum"])
        return f"\nclass {name}(OpenEnum):\n{_docstring(schema.get('description', name), 4)}\n{members}"
    required = set(schema.get("required", ()))
    fields = [
        _field(each, _opened(part) if is_open else part, required)
        for each, part in schema.get("properties", {}).items()
    ]
    described = _docstring(schema.get("description", name), 4)
    return (
        f"\nclass {name}(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):\n"
        f"{described}\n" + "".join(fields)
    )


def _opened(schema: Json) -> Json:
    if "anyOf" in schema:
        return {**schema, "anyOf": [_opened(each) for each in schema["anyOf"]]}
    if "items" in schema:
        return {**schema, "items": _opened(schema["items"])}
    return {name: value for name, value in schema.items() if name != "enum"}


def _field(name: str, schema: Json, required: set[str]) -> str:
    kind, python = _type(schema), _name(name)
    default = None
    if name not in required:
        default = _default(schema)
        if default == "None" and "None" not in kind.split(" | "):
            kind += " | None"
    if python != name:
        default = f"msgspec.field(name={name!r}{'' if default is None else f', default={default}'})"
    described = _docstring(schema["description"], 4) if "description" in schema else ""
    return f"    {python}: {kind}{'' if default is None else f' = {default}'}\n{described}"


def _default(schema: Json) -> str:
    """What a field is when it is left out; what the API takes for it then is not repeated here."""
    default = schema.get("default")
    return repr(default) if isinstance(default, str | int | float) and "$ref" not in schema else "None"


def _type(schema: Json, models: str = "") -> str:
    """The annotation of a schema; `models` is how its module is called where it stands."""
    if "$ref" in schema:
        return models + _target(schema)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(each, models) for each in schema["anyOf"]))
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if schema.get("type") == "array":
        return f"list[{_type(schema.get('items', {}), models)}]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type(values, models) if isinstance(values, dict) else 'Any'}]"
    if schema.get("type") == "null":
        return "None"
    return FORMATS.get(schema.get("format", ""), SCALARS.get(schema.get("type", ""), "Any"))


# ----------------------------------------------------------------------------------------- operations
@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the document. `answer` is the content of its success, by media type."""

    path: str
    method: str
    declared: Json
    answer: Json
    body: Json | None

    @property
    def parameters(self) -> list[Json]:
        """Those in the path and the query; headers are the transport's."""
        return [one for one in self.declared.get("parameters", []) if one.get("in") in {"path", "query"}]


def _operations(document: Json) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item or path.startswith(LEFT_OUT):
                continue
            declared = item[method]
            success = next(one for status, one in declared["responses"].items() if status.startswith("2"))
            body = declared.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
            yield Operation(path, method.upper(), declared, success.get("content", {}), body)


def operations(document: Json) -> str:
    """The module of the operations."""
    schemas = document["components"]["schemas"]
    found = []
    for one in _operations(document):
        found.append(_method(one, schemas))
        if MARKDOWN in one.answer:
            found.append(_markdown(one))
    return OPERATIONS_HEAD + "\n".join(found)


def row_of(media: Json, schemas: Json) -> Json | None:
    """The schema of the rows of an answer that is a page; None for one that is none."""
    schema = media.get("schema", {})
    schema = schemas[_target(schema)] if "$ref" in schema else schema
    properties = schema.get("properties", {})
    if {"data", "has_more", "next_cursor"} - properties.keys():
        return None
    items: Json = properties["data"]["items"]
    return items


def _method(one: Operation, schemas: Json) -> str:
    answer = one.answer.get(JSON, {})
    row = row_of(answer, schemas)
    query = _query(one)
    call = [f"{one.method!r}", _path(one)]
    if row is not None and one.method == "GET":
        kind = "TablePages" if PARQUET in one.answer else "Pages"
        kind_of_row = _type(row, "models.")
        returned = f"{kind}[{kind_of_row}]"
        body = f"return {kind}(self.transport, {_path(one)}, {kind_of_row}, {query})"
        return _def(one, one.declared["operationId"], returned, body)
    arguments = [*call]
    if row is not None:
        arguments.append(_type(row, "models."))
    elif answer:
        arguments.append(_type(answer["schema"], "models."))
    if query != "{}":
        arguments.append(f"query={query}")
    if one.body is not None:
        arguments.append("body=body")
    if one.method == "POST":
        arguments.append("idempotency_key=idempotency_key")
    joined = ", ".join(arguments)
    if row is not None:
        returned, body = f"Page[{_type(row, 'models.')}]", f"return self.transport.page({joined})"
    elif answer:
        returned = _type(answer["schema"], "models.")
        body = f"return self.transport.fetch({joined})"
    else:
        returned, body = "None", f"self.transport.send({joined})"
    return _def(one, one.declared["operationId"], returned, body)


def _markdown(one: Operation) -> str:
    query = _query(one)
    given = "" if query == "{}" else f", query={query}"
    body = f"return self.transport.send({one.method!r}, {_path(one)}{given}, accept={MARKDOWN!r}).text"
    return _def(one, f"{one.declared['operationId']}_markdown", "str", body)


def _def(one: Operation, name: str, returned: str, body: str) -> str:
    positional = ["self"]
    positional += [f"{_argument(each)}: {_given(each)}" for each in one.parameters if each["in"] == "path"]
    if one.body is not None:
        positional.append(f"body: {_type(one.body, 'models.')}")
    named = [
        f"{_argument(each)}: {_given(each)}" + ("" if each.get("required") else " | None = None")
        for each in _in_query(one)
    ]
    if one.method == "POST":
        named.append("idempotency_key: str | None = None")
    signature = ", ".join([*positional, *(["*", *named] if named else [])])
    described = _docstring(_description(one), 8)
    return f"\n    def {name}({signature}) -> {returned}:\n{described}        {body}\n"


def _description(one: Operation) -> str:
    told = [f"{one.declared['summary'].rstrip('.')}.", one.declared.get("description", "")]
    shown = [each for each in one.parameters if each["in"] == "path" or each in _in_query(one)]
    told += ["\n".join(f"{_argument(one)}: {one['description']}" for one in shown if "description" in one)]
    return "\n\n".join(part for part in told if part)


def _in_query(one: Operation) -> list[Json]:
    return [each for each in one.parameters if each["in"] == "query" and each["name"] not in OF_TRANSPORT]


def _given(parameter: Json) -> str:
    schema = parameter["schema"]
    if schema.get("type") == "array":
        item = _type(schema["items"], "models.")
        return f"{item} | Sequence[{item}]"
    return _type(schema, "models.")


def _query(one: Operation) -> str:
    return "{" + ", ".join(f"{each['name']!r}: {_argument(each)}" for each in _in_query(one)) + "}"


def _path(one: Operation) -> str:
    parts = [each for each in one.parameters if each["in"] == "path"]
    if not parts:
        return repr(one.path)
    path = one.path
    for each in parts:
        path = path.replace("{" + each["name"] + "}", "{segment(" + _argument(each) + ")}")
    return f'f"{path}"'


# ----------------------------------------------------------------------------------------------- text
def _target(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _name(name: str) -> str:
    python = name.replace("-", "_")
    return f"{python}_" if keyword.iskeyword(python) else python


def _argument(parameter: Json) -> str:
    name = _name(parameter["name"])
    return f"{name}_" if hasattr(builtins, name) else name


def _constant(value: str) -> str:
    return "".join(each if each.isalnum() else "_" for each in value).upper()


def _docstring(text: str, indent: int) -> str:
    """A docstring of these paragraphs, indented; lines of a paragraph stay lines."""
    text = text.replace("\\", "\\\\").replace('"""', "'''").strip()
    lines: list[str] = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line, WIDTH - indent - 6, subsequent_indent="  " if _ARGUMENT.match(line) else ""
        ) or [""]
    end = "" if len(lines) == 1 else "\n"
    quoted = f'"""{chr(10).join(lines)}{end}"""'
    return textwrap.indent(quoted, " " * indent) + "\n"


def _formatted(text: str, name: str) -> str:
    for command in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(  # noqa: S603 - the formatter of this environment
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(PACKAGE / name), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout:
            raise RuntimeError(done.stderr)
        text = done.stdout
    return text


if __name__ == "__main__":
    sys.exit(main())
