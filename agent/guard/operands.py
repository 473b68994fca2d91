"""What may stand on a command line besides flags: types, names, fields, questions."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.guard.refused import Refused, shown
from agent.guard.resources import TYPE, holds_credentials

NAME = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._:@~+-]{0,252}")
"""Every name that Kubernetes gives (`system:node:n1` is one; `~` is OpenShift's for oneself), and none that could be
a path, a flag or an escape."""

_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9._$-]{0,511}")
_VERB = re.compile(r"\*|[a-z][a-z-]{0,62}")
_ASKED = re.compile(
    r"(?:\*|[A-Za-z][A-Za-z0-9-]*)(?:\.(?:\*|[A-Za-z0-9.-]*))?(?:/(?:\*|[A-Za-z0-9_~][A-Za-z0-9._:@~+-]*))?"
    r"|signers(?:\.[a-z0-9.]*)?/[a-z0-9.-]+/(?:\*|[A-Za-z0-9._-]+)"  # the only names with a slash
    r"|/[A-Za-z0-9._~/*-]{0,511}"
)

Flags = Mapping[str, Sequence[str]]
Check = Callable[[Sequence[str], Flags], Sequence[str]]  # operands in, the types that would be read out, or Refused


@dataclass(frozen=True, slots=True)
class Operands:
    """A form of operands."""

    says: str  # to people
    check: Check


def check_type(kind: str) -> str:
    """A type that may be read. Raises Refused if it is none, or one whose objects are credentials."""
    if not TYPE.fullmatch(kind):
        why = "every word is an argument of its own" if " " in kind else "as in pods or deployments.apps"
        raise Refused("operand", f'"{shown(kind)}" is not a resource type, {why}')
    if holds_credentials(kind):
        why = "such objects hold credentials; what goes wrong for want of one shows in describe pod and get events"
        raise Refused("type", f"{shown(kind)} may not be read, {why}")
    return kind


def check_pair(operand: str) -> str:
    """The type of TYPE/NAME. Raises Refused if it isn't of that form, or the type may not be read."""
    kind, slash, name = operand.partition("/")
    if not slash or "/" in name:
        raise Refused("operand", f'"{shown(operand)}" is not of the form TYPE/NAME, with one slash')
    check_type(kind)
    _check_names([name])
    return kind


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not NAME.fullmatch(name):
            wildcard = "there are no wildcards; -l chooses by label, and get TYPE lists all names"
            why = wildcard if "*" in name else "letters, digits and . _ : @ + ~ - only"
            raise Refused("name", f'"{shown(name)}" is not a valid name: {why}')


def _at_most(count: int, operands: Sequence[str], takes: str) -> None:
    for extra in operands[count:]:
        raise Refused("operand", f'"{shown(extra)}" is one too many: {takes}')


def _resources(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if "raw" in flags:
        _at_most(0, operands, "--raw takes a path and nothing else")
        return flags["raw"]
    if not operands:
        raise Refused("operand", "a resource is missing: TYPE, TYPE NAME or TYPE/NAME, as in pods or deploy/web")
    if any("/" in operand for operand in operands):
        return [check_pair(operand) for operand in operands]
    kinds = [check_type(kind) for kind in operands[0].split(",")]
    _check_names(operands[1:])
    return kinds


def _log(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    if not operands and "selector" not in flags:
        raise Refused("operand", "logs needs a pod, TYPE/NAME, or -l with a selector")
    _at_most(2, operands, "logs takes one pod (or TYPE/NAME) and at most one container; -l reads several pods")
    pairs = [operand for operand in operands[:1] if "/" in operand]
    _check_names(operands[len(pairs) :])
    return ["pods", *map(check_pair, pairs)]


def _question(operands: Sequence[str], flags: Flags) -> Sequence[str]:
    takes = "auth can-i takes VERB TYPE, VERB TYPE/NAME or VERB /path, as in get pods; or --list"
    is_list = flags.get("list") == ["true"]
    _at_most(0 if is_list else 3, operands, takes)
    if not is_list and (len(operands) < 2 or not _VERB.fullmatch(operands[0]) or not _ASKED.fullmatch(operands[1])):
        raise Refused("operand", takes)
    _check_names(operands[2:])
    return []


def _few(least: int, most: int, form: re.Pattern[str], takes: str) -> Check:
    def check(operands: Sequence[str], _: Flags) -> Sequence[str]:
        _at_most(most, operands, takes)
        if len(operands) < least or not all(map(form.fullmatch, operands)):
            raise Refused("operand", takes)
        return []

    return check


RESOURCES = Operands("TYPE[,TYPE…] [NAME…] or TYPE/NAME…", _resources)
LOG = Operands("POD [CONTAINER] or TYPE/NAME [CONTAINER]", _log)
ONE_NAME = Operands("[NAME]", _few(0, 1, NAME, "top takes at most one name; use -l to choose several"))
FIELD = Operands("TYPE[.FIELD…]", _few(1, 1, _FIELD, "explain takes one TYPE or TYPE.FIELD, as in pods.spec"))
QUESTION = Operands("VERB TYPE[/NAME] or VERB /path", _question)
NOTHING = Operands("", _few(0, 0, NAME, "this takes only flags; ask for what you need, as in get pods -A -o wide"))
