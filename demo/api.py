"""The reference API: the central service as an agent sees it, in the test's or the demo's own process.

    async with reference_api() as api:
        # start an agent with KUBENTLY_API_URL=api.url, CLUSTER_ID=api.cluster_id, KUBENTLY_TOKEN=api.token
        command_id = await api.ask(["get", "pods"], timeout=10)
        answer = await api.result(command_id)

It speaks both contracts, `poll` (/agent/…) and `stream` (/executor/…), is strict about both, and
remembers everything.
"""

import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.routing import BaseRoute

from demo.central import BOTH, ReferenceApi
from demo.record import LinkName
from demo.routes import app_of
from demo.server import Tls

__all__ = ["BOTH", "ReferenceApi", "reference_api"]


@asynccontextmanager
async def reference_api(
    *,
    token: str = "reference-token",  # noqa: S107  # opens nothing but this API
    cluster_id: str = "sample",
    links: Collection[LinkName] = BOTH,
    port: int = 0,
    tls: Tls | None = None,
    routes: Sequence[BaseRoute] = (),
) -> AsyncIterator[ReferenceApi]:
    """A running API on a port of its own, with further `routes`. What it kept is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="kubently-api-") as folder:
        api = ReferenceApi(
            token=token,
            cluster_id=cluster_id,
            links=links,
            folder=Path(folder),
            app=lambda api: app_of(api, routes),
            port=port,
            tls=tls,
        )
        try:
            async with api.running():
                yield api
        finally:
            for asked in api.record:
                for answer in asked.answers:
                    answer.body.close()
