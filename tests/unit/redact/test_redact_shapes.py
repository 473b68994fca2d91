"""JSON stays JSON and YAML stays YAML, with the same keys, whatever stands in them."""

import json
import random
from typing import Any

import pytest
import yaml

from tests.unit.redact.cases import redacted

KEYS = [
    "name", "value", "default", "key", "kind", "data", "list", "env", "url", "x", "auth", "authorization", "Cookie",
    "signature", "private_key", "password", "token", "apiKey", "DB_PASSWORD", "secret",
]  # fmt: skip
TEXTS = [
    "", "x", "kx81Lmq0", "a\"b'c9", "back\\slash9", "new\nline 9", "tab\t9", "DB_PASSWORD", "password", "Secret",
    "a: b", "- x", "{x}", "[y]", "# c", "99999999", "ünï9", "true", "null", "~", "1e5", "<a&b>9",
    "a b c 9", "it's 9 o'clock",
    "https://u:p9w@h/x", "Bearer kx81Lmq0kx81Lmq0", "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.abcdefghij", "--password kx85Lmq0",
    "password: kx82Lmq0", '{"password":"kx83Lmq0"}', "line1\npassword=kx84Lmq0\nline3",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nabcd==\n-----END PRIVATE KEY-----\n",
]  # fmt: skip


def anything(chance: random.Random, depth: int) -> Any:
    sort = chance.random()
    if depth and sort < 0.35:
        return {chance.choice(KEYS): anything(chance, depth - 1) for _ in range(chance.randrange(5))}
    if depth and sort < 0.5:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    if sort < 0.56:
        return chance.choice([None, True, False, 0, 12345678, 1.5, -12345678])
    if sort < 0.62:
        return json.dumps({chance.choice(KEYS): chance.choice(TEXTS)})
    return chance.choice(TEXTS)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else 0


@pytest.mark.parametrize("seed", range(8))
def test_keys_and_shape_stay(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        value = {chance.choice(KEYS): anything(chance, 3) for _ in range(4)}
        for indent in (None, 4):
            text = json.dumps(value, indent=indent, ensure_ascii=False)
            for form in (text, text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")):
                assert shape(json.loads(redacted(form))) == shape(value), form
        text = yaml.safe_dump(value, allow_unicode=True)
        assert shape(yaml.safe_load(redacted(text))) == shape(value), text
