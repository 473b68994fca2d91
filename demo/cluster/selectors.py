"""Label and field selectors, as the API server reads them."""

import re
from collections.abc import Callable, Mapping

from demo.cluster.types import Object, ResourceType

Matcher = Callable[[Object], bool]

_TERM = re.compile(r"\s*(?P<not>!?)\s*(?P<key>[\w./-]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)"
                   r"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?\s*(?:,|$)")  # fmt: skip
_EVERYWHERE = ("metadata.name", "metadata.namespace")


class BadSelector(ValueError):  # noqa: N818  # reads as what it says
    """The selector can't be read, or names a field that this type doesn't know."""


def labels_match(selector: str) -> Matcher:
    """For `-l`: equality and sets. Raises BadSelector."""
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    position = 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if term is None or (term["not"] and (term["op"] or term["set"])):
            raise BadSelector(f"unable to parse requirement: found '{selector[position:]}'")
        tests.append(_label_test(term))
        position = term.end()
    return lambda thing: all(test(thing["metadata"].get("labels", {})) for test in tests)


def _label_test(term: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    key, value = term["key"], term["value"]
    if term["set"]:
        values = {word.strip() for word in term["values"].split(",")}
        if term["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if term["op"] == "!=":
        return lambda labels: labels.get(key) != value
    if term["op"]:
        return lambda labels: labels.get(key) == value
    if term["not"]:
        return lambda labels: key not in labels
    return lambda labels: key in labels


def fields_match(selector: str, kind: ResourceType) -> Matcher:
    """For `--field-selector`: equality only, and only on fields that the type knows. Raises BadSelector."""
    tests = [_field_test(term, kind) for term in selector.split(",") if term]
    return lambda thing: all(test(thing) for test in tests)


def _field_test(term: str, kind: ResourceType) -> Matcher:
    parts = re.fullmatch(r"([\w.]+)(!=|==|=)(.*)", term)
    if parts is None:
        raise BadSelector(f"invalid field selector: {term}")
    path, operator, wanted = parts.groups()
    if path not in (*_EVERYWHERE, *kind.fields):
        raise BadSelector(f"field label not supported: {path}")
    if operator == "!=":
        return lambda thing: _value(thing, path) != wanted
    return lambda thing: _value(thing, path) == wanted


def _value(thing: Object, path: str) -> str:
    value: object = thing
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    if isinstance(value, dict):  # events: `source` means its component
        value = value.get("component", "")
    return str(value).lower() if isinstance(value, bool) else str(value)
