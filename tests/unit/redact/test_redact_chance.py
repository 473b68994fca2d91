"""Values by chance, of any printable characters, under telling names in each form: at most 3 in 100 are missed."""

import json
import random
import string
from collections.abc import Callable

import pytest
import yaml

from tests.unit.redact.cases import redacted

NAMES = ["DB_PASSWORD", "apiKey", "API_TOKEN", "client_secret", "db.password", "AWS_SECRET_ACCESS_KEY", "x-api-key"]
ALPHABETS = [
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "!#%+-.*~^@$&",
    string.ascii_letters + string.digits + "+/=",
    "0123456789abcdef",
    string.printable[:94],
]
ITEMS = [{"name": "B", "value": "kept"}]
FORMS: dict[str, Callable[[str, str], str]] = {
    "json": lambda name, value: json.dumps({"a": 1, name: value, "b": "kept"}, indent=4),
    "json in json": lambda name, value: json.dumps({"log": json.dumps({name: value, "b": "kept"})}),
    "pair in json": lambda name, value: json.dumps([{"name": name, "value": value}, *ITEMS], indent=4),
    "value first": lambda name, value: json.dumps([*ITEMS, {"value": value, "name": name}]),
    "yaml": lambda name, value: yaml.safe_dump({"a": 1, name: value, "z": "kept"}),
    "pair in yaml": lambda name, value: yaml.safe_dump([{"name": name, "value": value}, *ITEMS], sort_keys=False),
    "describe": lambda name, value: f"    Environment:\n      {name}:   {value}\n      B:   kept\n",
    "describe a ConfigMap": lambda name, value: f"Data\n====\n{name}:\n----\n{value}\n\nB:\n----\nkept\n",
    "env file": lambda name, value: f"A=1\n{name}={value}\nB=kept\n",
    "arguments": lambda name, value: f"    - --{name}={value}\n    - --b=kept\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_chance_is_taken_and_its_neighbour_stays(form: str) -> None:
    chance = random.Random(1)
    missed = []
    for _ in range(300):
        value = "".join(chance.choices(chance.choice(ALPHABETS), k=chance.randrange(10, 25)))
        out = redacted(FORMS[form](chance.choice(NAMES), value))
        assert "kept" in out, value
        half = (len(value) + 1) // 2
        if any(value[at : at + half] in out for at in range(len(value) - half + 1)):
            missed.append((value, out))
    assert len(missed) <= 9, missed
