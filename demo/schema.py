"""Checks JSON against the schemas of docs/openapi.yaml, so that the file is the contract and not a copy of it.

Only the words of JSON Schema that the file uses are known here; another one is an error, not passed over.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.yaml"
SPECIFICATION: dict[str, Any] = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))

_Schema = Mapping[str, Any]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,), "boolean": (bool,), "integer": (int,), "null": (type(None),), "number": (int, float),
    "object": (dict,), "string": (str,),
}  # fmt: skip
_ANNOTATIONS = {"description", "default"}


def problems(name: str, value: object) -> list[str]:
    """What is wrong with `value` as a `#/components/schemas/NAME`; nothing if it is right."""
    return _problems({"$ref": f"#/components/schemas/{name}"}, value, "")


def _problems(schema: _Schema, value: Any, where: str) -> list[str]:
    if wrong := _CHECKS["type"](schema["type"], value) if "type" in schema else "":
        return [f"{where or 'the body'}: {wrong}"]
    found = []
    for word, wanted in schema.items():
        if word in _INSIDE:
            found += _INSIDE[word](wanted, value, where)
        elif word not in _ANNOTATIONS and (wrong := _CHECKS[word](wanted, value)):
            found.append(f"{where or 'the body'}: {wrong}")
    return found


def _reference(path: str, value: object, where: str) -> list[str]:
    schema: Any = SPECIFICATION
    for name in path.removeprefix("#/").split("/"):
        schema = schema[name]
    return _problems(schema, value, where)


def _properties(schemas: Mapping[str, _Schema], value: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    inside = {name: f"{where}.{name}".lstrip(".") for name in schemas if name in value}
    return [wrong for name, place in inside.items() for wrong in _problems(schemas[name], value[name], place)]


def _items(schema: _Schema, value: list[object], where: str) -> list[str]:
    return [wrong for number, item in enumerate(value) for wrong in _problems(schema, item, f"{where}[{number}]")]


def _one_of(schemas: list[_Schema], value: object, where: str) -> list[str]:
    tried = [_problems(schema, value, where) for schema in schemas]
    if tried.count([]) == 1:
        return []
    return [f"{where or 'the body'}: exactly one of {len(schemas)} forms is wanted, {tried.count([])} fit: {tried}"]


_INSIDE: Mapping[str, Callable[[Any, Any, str], list[str]]] = {
    "$ref": _reference,
    "properties": _properties,
    "items": _items,
    "oneOf": _one_of,
}


def _type(wanted: str | list[str], value: object) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    # A bool is an int in Python and isn't in JSON.
    right = any(isinstance(value, _TYPES[name]) and (name == "boolean") == isinstance(value, bool) for name in names)
    return "" if right else f"{' or '.join(names)} is wanted, not {type(value).__name__}"


def _required(names: list[str], value: Mapping[str, object]) -> str:
    missing = [name for name in names if name not in value]
    return f"{', '.join(missing)} is missing" if missing else ""


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _unless(right: bool, words: str) -> str:
    return "" if right else words


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list) else 0


_CHECKS: Mapping[str, Callable[[Any, Any], str]] = {
    "type": _type,
    "required": _required,
    "const": lambda wanted, value: _unless(value == wanted, f"{wanted} is wanted"),
    "enum": lambda wanted, value: _unless(value in wanted, f"one of {', '.join(wanted)} is wanted"),
    "format": lambda _, value: _unless(value is None or _is_time(value), "a time as in ISO 8601 is wanted"),
    "minimum": lambda least, value: _unless(value is None or value >= least, f"at least {least} is wanted"),
    "maximum": lambda most, value: _unless(value <= most, f"at most {most} is wanted"),
    "exclusiveMinimum": lambda least, value: _unless(value > least, f"more than {least} is wanted"),
    "minLength": lambda least, value: _unless(_size(value) >= least, f"at least {least} characters are wanted"),
    "maxLength": lambda most, value: _unless(_size(value) <= most, f"at most {most} characters are allowed"),
    "maxItems": lambda most, value: _unless(_size(value) <= most, f"at most {most} are allowed"),
}
