"""docs/openapi.yaml and docs/api.md describe the API that the reference API is: paths, statuses, bodies, curl lines."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from demo import schema
from demo.api import ReferenceApi, reference_api
from demo.routes import app_of
from demo.schema import OPENAPI, SPECIFICATION

API_MD = (OPENAPI.parent / "api.md").read_text()
CURL = shutil.which("curl")
RESULT = {"success": True, "output": "ok", "error": None, "exit_code": 0, "execution_time_ms": 12}
FLAT = {"success": True, "execution_time_ms": 12}
GOOD_BODIES = {
    "/agent/results": {"command_id": "1", "result": RESULT},
    "/executor/results": {"command_id": "1", **FLAT},
    "/executor/capabilities": {"mode": "readOnly"},
}


@pytest.fixture
async def api() -> AsyncIterator[ReferenceApi]:
    async with reference_api(token="t0ken") as running:
        yield running


def client(api: ReferenceApi, token: str = "t0ken") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}", "X-Cluster-ID": api.cluster_id}
    return httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False)


def operations() -> list[tuple[str, str]]:
    return [
        (path, method) for path, item in SPECIFICATION["paths"].items() for method in item if method in {"get", "post"}
    ]


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        path, found = found["$ref"], SPECIFICATION
        for name in path.removeprefix("#/").split("/"):
            found = found[name]
    return found


def check(path: str, method: str, reply: httpx.Response) -> None:
    """The status is one that the file names, and the body is as it says."""
    responses = SPECIFICATION["paths"][path][method]["responses"]
    assert str(reply.status_code) in responses, f"{method} {path}: {reply.status_code} isn't in the file"
    content = resolved(responses[str(reply.status_code)]).get("content")
    if content is None:
        assert reply.content == b""
        return
    reference = content["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    assert not reference or schema.problems(reference, reply.json()) == []


async def test_it_serves_the_file(api: ReferenceApi) -> None:
    async with client(api, token="none") as anybody:
        assert (await anybody.get("/openapi.yaml")).content == OPENAPI.read_bytes()


async def test_each_path_of_the_file_is_served_and_no_other(api: ReferenceApi) -> None:
    served = {(route.path, method.lower()) for route in app_of(api).routes for method in route.methods}  # type: ignore[attr-defined]
    assert {(path, method) for path, method in served if method != "head"} == {*operations(), ("/openapi.yaml", "get")}


@pytest.mark.parametrize(("path", "method"), [(p, m) for p, m in operations() if p != "/executor/stream"])
async def test_answers_are_as_the_file_says(api: ReferenceApi, path: str, method: str) -> None:
    async with client(api) as agent, client(api, token="wrong") as stranger:
        await api.ask(["get", "pods"], command_id="1", timeout=5)
        replies = [await stranger.request(method, path), await agent.request(method, path, json=GOOD_BODIES.get(path))]
        assert [reply.status_code for reply in replies] == [401, 200]
        replies.append(await agent.request(method, path, json=GOOD_BODIES.get(path)))
        if path in GOOD_BODIES:
            replies.append(await agent.request(method, path, json=[]))
            assert replies[-1].status_code in {400, 422}
            api.max_body_bytes = 10
            replies.append(await agent.request(method, path, json=GOOD_BODIES[path]))
            api.max_body_bytes = 1000
            api.forget("1")
            api.reports_capabilities = False
            replies.append(await agent.request(method, path, json=GOOD_BODIES[path]))
        for reply in replies:
            check(path, method, reply)


async def test_the_commands_it_hands_out_are_as_the_file_says(api: ReferenceApi) -> None:
    async with client(api) as agent:
        await api.ask(["get", "pods"], timeout=5, correlation_id="c")
        await api.search_logs({"namespace": "shop", "pod_name": "web-1", "query": "x"})
        reply = await agent.get("/agent/commands?wait=0")
        assert len(reply.json()["commands"]) == 2
        check("/agent/commands", "get", reply)


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", API_MD, re.DOTALL))
def test_the_messages_in_the_document_are_of_the_contract(text: str) -> None:
    message = json.loads(text)
    assert schema.problems("PollResult" if "result" in message else "Command", message) == []


@pytest.mark.skipif(CURL is None, reason="no curl")
@pytest.mark.parametrize("example", re.findall(r"```console\n(.*?)```", API_MD, re.DOTALL))
async def test_curl_prints_what_the_document_shows(api: ReferenceApi, tmp_path: Path, example: str) -> None:
    await api.ask(["get", "pods", "-n", "shop"], timeout=10, command_id="181e290a")
    shown = re.findall(r"^\$ (.*?\"(?:\$API[^\n]*)\")\n(.*?)(?=^\$|\Z)", example, re.MULTILINE | re.DOTALL)
    assert shown
    for line, wanted in shown:
        environ = {"API": api.url, "TOKEN": api.token, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        with trio.fail_after(60):
            done = await trio.run_process(["sh", "-c", line], env=environ, capture_stdout=True)
        assert done.stdout.decode().strip() == wanted.strip()
