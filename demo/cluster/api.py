"""The sample cluster's API server.

async with sample_cluster() as cluster:
    cluster.write_kubeconfig(path)      # then: kubectl --kubeconfig path get pods -A
    cluster.calls                       # every request that came
    cluster.writes                      # those that would have changed something: refused, and none expected
"""

import json
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo.cluster import discovery, openapi, reviews, status
from demo.cluster.reading import Reading
from demo.cluster.store import OBJECTS, Store
from demo.cluster.types import ResourceType, type_at
from demo.server import Server, Tls, serving

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_HEALTH = ("/healthz", "/livez", "/readyz")
_CHECKS = ("ping", "log", "etcd", "poststarthook/start-apiextensions-informers", "shutdown")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came."""

    at: float
    """`trio.current_time()`."""
    method: str
    path: str
    query: dict[str, str]
    status: int

    @property
    def writes(self) -> bool:
        """Whether it would have changed something. A review asks a question, by POST as the API has it."""
        return self.method not in {"GET", "HEAD"} and not reviews.is_review(self.path)


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL speaks of."""

    kind: ResourceType
    namespace: str
    name: str
    subresource: str


class SampleCluster:
    """The objects of a folder behind a token, read-only. Secrets are forbidden, as by the agent's role."""

    def __init__(self, *, token: str, port: int = 0, tls: Tls | None = None, objects: Path = OBJECTS) -> None:
        self.token = token
        self.calls: deque[Call] = deque(maxlen=100_000)
        self.log_delay: Callable[[], float] = float
        """Called for each log: the seconds it takes to arrive. A busy node keeps commands in flight for a while."""
        self._store = Store(objects)
        self._server = Server(Starlette(routes=[Route("/{path:path}", self._serve, methods=_METHODS)]), port, tls)

    @property
    def url(self) -> str:
        """Where the API server listens.

        kubectl sends a token over TLS only, so without TLS the token is part of the URL instead.
        """
        return self._server.url + self._prefix

    @property
    def _prefix(self) -> str:
        return "" if self._server.tls else f"/{self.token}"

    @property
    def writes(self) -> list[Call]:
        """Requests that would have changed something."""
        return [call for call in self.calls if call.writes]

    async def start(self) -> None:
        """Come back."""
        await self._server.start()

    async def stop(self) -> None:
        """Go away."""
        await self._server.stop()

    def write_kubeconfig(self, path: Path) -> None:
        """A kubeconfig for this cluster."""
        cluster = {"server": self.url}
        if self._server.tls:
            cluster["certificate-authority-data"] = b64encode(self._server.tls.authority.encode()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sample",
            "clusters": [{"name": "sample", "cluster": cluster}],
            "users": [{"name": "agent", "user": {"token": self.token}}],
            "contexts": [{"name": "sample", "context": {"cluster": "sample", "user": "agent"}}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2) + "\n")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SampleCluster"]:
        """Serve while the body runs."""
        async with serving(self._server):
            yield self

    async def _serve(self, request: Request) -> Response:
        at, path = trio.current_time(), request.url.path.removeprefix(self._prefix)
        response = await self._answer(request, path) if self._knows(request) else status.failure(401, "Unauthorized")
        self.calls.append(Call(at, request.method, path, dict(request.query_params), response.status_code))
        return response

    def _knows(self, request: Request) -> bool:
        if self._server.tls:
            return request.headers.get("authorization") == f"Bearer {self.token}"
        return request.url.path.startswith(f"{self._prefix}/")

    async def _answer(self, request: Request, path: str) -> Response:
        if reviews.is_review(path) and request.method == "POST":
            return await reviews.answer(request, path)
        target = target_of(path)
        if request.method not in {"GET", "HEAD"}:
            return _refused(request.method, path, target)
        if target is None:
            return self._about_itself(request, path.rstrip("/"))
        if target.kind.plural == "secrets":
            return _forbidden("get" if target.name else "list", target)
        if target.subresource == "log":
            await trio.sleep(self.log_delay())
        return Reading(self._store, target.kind, target.namespace, request).answer(target.name, target.subresource)

    def _about_itself(self, request: Request, path: str) -> Response:
        if path in _HEALTH:
            lines = [f"[+]{check} ok" for check in _CHECKS] + [f"{path[1:]} check passed"]
            return PlainTextResponse("\n".join(lines) + "\n" if "verbose" in request.query_params else "ok")
        if path in {"/api", "/apis"}:
            return JSONResponse(discovery.groups(core=path == "/api"), media_type=discovery.MEDIA_TYPE)
        found = self._description(path)
        return JSONResponse(found) if found else status.no_such_path()

    def _description(self, path: str) -> object:
        match path.split("/")[1:]:
            case ["version"]:
                return discovery.VERSION
            case ["openapi", "v3"]:
                return openapi.index()
            case ["openapi", "v3", *root]:
                return openapi.document(self._store, "/".join(root))
        return None


def target_of(path: str) -> Target | None:
    """The type, namespace, name and subresource in a URL; None if it isn't about objects."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and type_at(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    kind = type_at(group, version, rest[0])
    if kind is None or (namespace and not kind.namespaced):
        return None
    name, subresource = (rest[1:2] or [""])[0], "/".join(rest[2:])
    return Target(kind, namespace, name, subresource)


def _refused(method: str, path: str, target: Target | None) -> Response:
    if target is None or method not in _VERBS:
        return status.failure(405, f"{method} isn't served at {path}")
    return _forbidden(_VERBS[method], target)


def _forbidden(verb: str, target: Target) -> Response:
    plural = "/".join(filter(None, (target.kind.plural, target.subresource)))
    return status.forbidden(verb, target.kind.group, plural, namespace=target.namespace, name=target.name)


@asynccontextmanager
async def sample_cluster(
    *,
    token: str = "sample-token",  # noqa: S107  # opens nothing but this cluster
    port: int = 0,
    tls: Tls | None = None,
    objects: Path = OBJECTS,
) -> AsyncIterator[SampleCluster]:
    """A running cluster on a port of its own."""
    async with SampleCluster(token=token, port=port, tls=tls, objects=objects).running() as cluster:
        yield cluster
