"""What a new OpenAPI document takes away from the clients of an older one.

    asked of a client  (parameters, bodies)   old ⊆ new: whatever was good still is
    told to a client   (answers, webhooks)    new ⊆ old: whatever comes, a client of the old one can read

Fields, operations, optional parameters and values of enumerations in answers may be added: clients are told
to ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coworkai.partner_api.openapi.document import METHODS

Json = Mapping[str, Any]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_ANY = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Each thing that breaks a client of `old`, in a line; none when every such client can go on."""
    return [*_Comparison(old, new).changes()]


@dataclass(frozen=True, slots=True)
class _Comparison:
    old: Json
    new: Json

    def changes(self) -> Iterator[str]:
        for section in ("paths", "webhooks"):
            for path, item in self.old.get(section, {}).items():
                for method in METHODS:
                    if method not in item:
                        continue
                    where = f"{method.upper()} {path}" if section == "paths" else f"webhook {path}"
                    now = self.new.get(section, {}).get(path, {}).get(method)
                    if now is None:
                        yield f"{where}: removed"
                    elif section == "paths":
                        yield from self._operation(where, item[method], now)
                    else:
                        yield from self._told_body(where, item[method], now)

    def _operation(self, where: str, was: Json, now: Json) -> Iterator[str]:
        if was["operationId"] != now["operationId"]:
            yield f"{where}: operationId {was['operationId']} became {now['operationId']}"
        yield from self._access(where, was, now)
        yield from self._parameters(where, was, now)
        yield from self._asked_body(where, was, now)
        for status, response in was["responses"].items():
            if status.startswith(("2", "3")):
                if status not in now["responses"]:
                    yield f"{where}: status {status} removed"
                    continue
                yield from self._response(
                    f"{where} {status}",
                    _resolved(response, self.old),
                    _resolved(now["responses"][status], self.new),
                )

    @staticmethod
    def _access(where: str, was: Json, now: Json) -> Iterator[str]:
        for scheme in sorted(_schemes(was) - _schemes(now)):
            yield f"{where}: {scheme} is not taken any more"
        before, after = was.get("x-coworkai-access"), now.get("x-coworkai-access")
        if after is None:
            return
        if before is None:
            yield f"{where}: needs credentials now"
            return
        if after["scope"] not in {None, before["scope"]}:
            yield f"{where}: needs the scope {after['scope']} now"
        if after["reach"] == "individual" and before["reach"] == "aggregate":
            yield f"{where}: needs individual reach now"
        if before["limited"] and not after["limited"]:
            yield f"{where}: limited credentials are not taken any more"

    def _parameters(self, where: str, was: Json, now: Json) -> Iterator[str]:
        before, after = _parameters(was, self.old), _parameters(now, self.new)
        for key, parameter in before.items():
            named = f"{where}: parameter {key[1]} in {key[0]}"
            if key not in after:
                yield f"{named} removed"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{named} is required now"
            for name in ("style", "explode"):
                if parameter.get(name) != after[key].get(name):
                    yield f"{named}: {name} changed"
            yield from self._asked(named, parameter["schema"], after[key]["schema"])
        for key, parameter in after.items():
            if key not in before and parameter.get("required"):
                yield f"{where}: new required parameter {key[1]} in {key[0]}"

    def _asked_body(self, where: str, was: Json, now: Json) -> Iterator[str]:
        before, after = was.get("requestBody"), now.get("requestBody")
        if before is None:
            if after is not None and after.get("required"):
                yield f"{where}: a body is required now"
            return
        if after is None:
            yield f"{where}: body removed"
            return
        if after.get("required") and not before.get("required"):
            yield f"{where}: the body is required now"
        for kind, media in before["content"].items():
            if kind not in after["content"]:
                yield f"{where}: body {kind} removed"
            else:
                yield from self._asked(f"{where}: body", media["schema"], after["content"][kind]["schema"])

    def _told_body(self, where: str, was: Json, now: Json) -> Iterator[str]:
        before, after = was["requestBody"]["content"], now["requestBody"]["content"]
        for kind, media in before.items():
            if kind not in after:
                yield f"{where}: {kind} removed"
            else:
                yield from self._told(where, media["schema"], after[kind]["schema"])

    def _response(self, where: str, was: Json, now: Json) -> Iterator[str]:
        for name in was.get("headers", {}):
            if name not in now.get("headers", {}):
                yield f"{where}: header {name} removed"
        for kind, media in was.get("content", {}).items():
            after = now.get("content", {}).get(kind)
            if after is None:
                yield f"{where}: {kind} removed"
            else:
                yield from self._told(f"{where} {kind}", media["schema"], after["schema"])

    def _asked(self, where: str, was: Json, now: Json) -> Iterator[str]:
        yield from _Subset(self.old, self.new, is_told=False).differences(where, was, now)

    def _told(self, where: str, was: Json, now: Json) -> Iterator[str]:
        yield from _Subset(self.new, self.old, is_told=True).differences(where, now, was)


class _Subset:
    """Whether whatever one schema allows another does; said in words of what became of the older one.

    `is_told`: the narrower one is the new, of what clients are told; otherwise the old, of what they send.
    """

    def __init__(self, narrow: Json, wide: Json, *, is_told: bool) -> None:
        self._narrow = narrow
        self._wide = wide
        self._is_told = is_told
        self._seen: set[tuple[str, str]] = set()

    def differences(self, where: str, narrow: Json, wide: Json) -> Iterator[str]:
        refs = narrow.get("$ref", ""), wide.get("$ref", "")
        if all(refs):
            if refs in self._seen:
                return
            self._seen.add(refs)
        narrow, wide = _resolved(narrow, self._narrow), _resolved(wide, self._wide)
        if not wide.keys() - {"description", "examples", "default", "title"}:
            return
        branches = _branches(narrow)
        if len(branches) > 1 or "anyOf" in wide or "oneOf" in wide:
            yield from self._unions(where, branches, _branches(wide))
            return
        yield from self._plain(where, narrow, wide)

    def _unions(self, where: str, narrow: list[Json], wide: list[Json]) -> Iterator[str]:
        """Every branch must have its like: by what it refers to, by type, or by being no different."""
        for one in narrow:
            found = [list(self._copy().differences(where, one, other)) for other in wide]
            if all(found):
                yield min(found, key=len)[0]

    def _copy(self) -> _Subset:
        copy = _Subset(self._narrow, self._wide, is_told=self._is_told)
        copy._seen = set(self._seen)
        return copy

    def _plain(self, where: str, narrow: Json, wide: Json) -> Iterator[str]:
        extra = _types(narrow) - _types(wide)
        if "number" in _types(wide):
            extra -= {"integer"}
        if extra:
            listed = ", ".join(sorted(extra))
            yield f"{where}: can be {listed} now" if self._is_told else f"{where}: {listed} is refused now"
            return
        yield from self._values(where, narrow, wide)
        yield from self._object(where, narrow, wide)
        if "items" in wide and "items" in narrow:
            yield from self.differences(f"{where}[]", narrow["items"], wide["items"])

    def _values(self, where: str, narrow: Json, wide: Json) -> Iterator[str]:
        allowed = _constants(wide)
        if allowed is not None and not self._is_told:
            given = _constants(narrow)
            gone = ["values beyond the new enumeration"] if given is None else [*map(str, given - allowed)]
            for value in sorted(gone):
                yield f"{where}: {value} is refused now"
        if self._is_told:
            # Limits of what is told are no promise; its form is.
            if wide.get("format") != narrow.get("format"):
                yield f"{where}: format {wide.get('format')} became {narrow.get('format')}"
            return
        for name in _LOWER:
            if name in wide and narrow.get(name, float("-inf")) < wide[name]:
                yield f"{where}: {name} {narrow.get(name)} became {wide[name]}"
        for name in _UPPER:
            if name in wide and narrow.get(name, float("inf")) > wide[name]:
                yield f"{where}: {name} {narrow.get(name)} became {wide[name]}"
        for name in ("pattern", "format"):
            if name in wide and narrow.get(name) != wide[name]:
                yield f"{where}: {name} {narrow.get(name)} became {wide[name]}"

    def _object(self, where: str, narrow: Json, wide: Json) -> Iterator[str]:
        narrow_has, wide_has = narrow.get("properties", {}), wide.get("properties", {})
        for name in wide.get("required", ()):
            if name not in narrow.get("required", ()) and (name in narrow_has or not self._is_told):
                may = "may be missing now" if self._is_told else "is required now"
                yield f"{where}.{name} {may}"
        older, newer = (wide_has, narrow_has) if self._is_told else (narrow_has, wide_has)
        for name in older:
            if name not in newer:
                yield f"{where}.{name} removed"
            else:
                yield from self.differences(f"{where}.{name}", narrow_has[name], wide_has[name])


def _resolved(part: Json, of: Json) -> Json:
    while "$ref" in part:
        found: Any = of
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _branches(schema: Json) -> list[Json]:
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return list(schema[name])
    return [schema]


def _types(schema: Json) -> frozenset[str]:
    given = schema.get("type")
    if given is None:
        return _ANY
    return frozenset([given] if isinstance(given, str) else given)


def _constants(schema: Json) -> frozenset[Any] | None:
    if "const" in schema:
        return frozenset([schema["const"]])
    return frozenset(schema["enum"]) if "enum" in schema else None


def _schemes(operation: Json) -> set[str]:
    return {name for each in operation.get("security", ()) for name in each}


def _parameters(operation: Json, of: Json) -> dict[tuple[str, str], Json]:
    found = [_resolved(each, of) for each in operation.get("parameters", ())]
    return {(each["in"], each["name"]): each for each in found}
