"""Each oddity of kubectl's two parsers, by name."""

import pytest

from agent.guard import Refused
from agent.guard.grammar import parse


def read(line: str) -> tuple[str, dict[str, list[str]], list[str]]:
    verb, flags, operands = parse(line.split(" "))
    return verb.name, flags, operands


@pytest.mark.parametrize(
    ("line", "flags", "operands"),
    [
        # operands
        ("get pods - web", {}, ["pods", "-", "web"]),
        ("get  pods", {}, ["", "pods"]),
        ("get pods -A web", {"all-namespaces": ["true"]}, ["pods", "web"]),
        ("get -- -A", {}, ["-A"]),
        ("get pods -- -- -n", {}, ["pods", "--", "-n"]),
        # -- as a value, and values that look like flags
        ("get -n -- pods", {"namespace": ["--"]}, ["pods"]),
        ("get -n -A pods", {"namespace": ["-A"]}, ["pods"]),
        ("get --selector --watch pods", {"selector": ["--watch"]}, ["pods"]),
        # long flags
        ("get --output=a=b pods", {"output": ["a=b"]}, ["pods"]),
        ("get --output= pods", {"output": [""]}, ["pods"]),
        ("get --output json pods", {"output": ["json"]}, ["pods"]),
        ("get --no_headers --field_selector x", {"no-headers": ["true"], "field-selector": ["x"]}, []),
        ("get --no-headers=F pods", {"no-headers": ["false"]}, ["pods"]),
        # booleans take a value only with "="
        ("get pods --watch false", {"watch": ["true"]}, ["pods", "false"]),
        ("get pods -w false", {"watch": ["true"]}, ["pods", "false"]),
        # clusters of letters
        ("get -n=x", {"namespace": ["x"]}, []),
        ("get -nx", {"namespace": ["x"]}, []),
        ("get -n=", {"namespace": ["="]}, []),
        ("get -n==x", {"namespace": ["=x"]}, []),
        ("get -namespace x", {"namespace": ["amespace"]}, ["x"]),
        ("get -A=false", {"all-namespaces": ["false"]}, []),
        ("get -Aojson", {"all-namespaces": ["true"], "output": ["json"]}, []),
        ("get -Ao json", {"all-namespaces": ["true"], "output": ["json"]}, []),
        ("get -Ao=json", {"all-namespaces": ["true"], "output": ["json"]}, []),
        ("get -Awn x", {"all-namespaces": ["true"], "watch": ["true"], "namespace": ["x"]}, []),
        ("logs -pf=false -c=a", {"previous": ["true"], "follow": ["false"], "container": ["a"]}, []),
        # the last one wins, lists append
        ("get -n a -n b --namespace=c", {"namespace": ["c"]}, []),
        ("get -La -L b --label-columns=c,d", {"label-columns": ["a", "b", "c,d"]}, []),
        ("get -w --watch=false", {"watch": ["false"]}, []),
        # numbers in Go's notation
        ("logs --tail=0x10", {"tail": ["16"]}, []),
        ("logs --tail=010", {"tail": ["8"]}, []),
        ("logs --tail=0o17", {"tail": ["15"]}, []),
        ("logs --tail=0b11", {"tail": ["3"]}, []),
        ("logs --tail=1_0", {"tail": ["10"]}, []),
        ("logs --tail=0_7", {"tail": ["7"]}, []),
        ("logs --tail=-0X_f", {"tail": ["-15"]}, []),
        ("logs --tail=+5", {"tail": ["5"]}, []),
        ("logs --tail 9223372036854775807", {"tail": ["9223372036854775807"]}, []),
        ("logs --since=1h30m --pod-running-timeout .5s", {"since": ["1h30m"], "pod-running-timeout": [".5s"]}, []),
    ],
)
def test_flags_and_operands(line: str, flags: dict[str, list[str]], operands: list[str]) -> None:
    assert read(line)[1:] == (flags, operands)


@pytest.mark.parametrize("value", ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"])
def test_a_boolean_may_be_written_in_twelve_ways(value: str) -> None:
    assert read(f"get --no-headers={value}")[1] == {"no-headers": ["true" if value in "1tTTRUEtrueTrue" else "false"]}


@pytest.mark.parametrize(
    ("line", "verb", "flags"),
    [
        ("-n prod get pods", "get", {"namespace": ["prod"]}),
        (
            "-nprod -l=a=b --output json get pods",
            "get",
            {"namespace": ["prod"], "selector": ["a=b"], "output": ["json"]},
        ),
        ("-n get get pods", "get", {"namespace": ["get"]}),
        ("-n -- get pods", "get", {"namespace": ["--"]}),
        ("-n history rollout history pods", "rollout history", {"namespace": ["history"]}),
        ("top po pods", "top pod", {}),
        ("top no pods", "top node", {}),
        ("top nodes pods", "top node", {}),
    ],
)
def test_the_verb_is_the_first_word_that_is_no_flag_and_no_value(
    line: str, verb: str, flags: dict[str, list[str]]
) -> None:
    assert read(line) == (verb, flags, ["pods"])


@pytest.mark.parametrize(
    "line",
    [
        "get ---n=x",
        "get --=x",
        "get --n=x",  # no abbreviations
        "get --OUTPUT=json",  # case matters
        "get --no.headers",  # "_" equals "-", "." doesn't
        "get -Atrue",
        "get -A=",
        "get -test.v",  # kubectl drops this silently; nothing is dropped here
        "get --test.v",
        "get -o",
        "get --output",
        "get -Ao",
        "get --watch=yes",
        "logs --tail=08",
        "logs --tail=1__0",
        "logs --tail=_1",
        "logs --tail=0x",
        "logs --tail=9223372036854775808",
        "logs --tail=" + "1" * 5000,
        "logs --tail=١",
        "logs --since=1h30",
        "logs --since=1..5s",
        "-A get pods",
        "rollout restart deploy/web",
        "-n prod",
        "-n",
        "--",
        "-",
        "GET pods",
        "get,pods",
    ],
)
def test_what_kubectl_would_not_take_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        read(line)
