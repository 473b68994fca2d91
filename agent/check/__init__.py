"""`kubently-agent check`: everything the agent needs, looked at before it runs, or beside it in the same pod.

findings.py        what a check finds, and areas of checks in their order
configuration.py   the environment, the token, the policy file
api.py             the central API, asked by the agent's own client; certificate.py: the API's certificate
cluster.py         kubectl, the cluster's API server, and rights.py: what may and what may not be done there
storage.py         the spool's folder, its room, its file
health.py          the port of the probes

Nothing here takes the spool's lock, touches what a running agent uses, or waits without a limit. The areas don't depend
on each other: the cluster is looked at even if the API is away.
"""

from collections.abc import Mapping

from agent.check import api, cluster, configuration, health, rights, storage
from agent.check.findings import Area, Finding, Mark, Tell
from agent.config import Config

__all__ = ["Finding", "Mark", "check_everything"]


async def check_everything(environ: Mapping[str, str], tell: Tell) -> Config | None:
    """Make every check; `tell` gets each finding as it is known. Returns None if the configuration is wrong."""
    settings = Area("Configuration", configuration.CHECKS, tell)
    way = Area("Central API", api.CHECKS, tell)
    target = Area("Cluster", (*cluster.CHECKS, *rights.CHECKS), tell)
    spool = Area("Spool", storage.CHECKS, tell)
    probes = Area("Probes", health.CHECKS, tell)

    config = configuration.check_configuration(settings, environ)
    if config is None:
        for area in (settings, way, target, spool, probes):
            area.skip_rest("not looked at: there is a mistake in the configuration")
        return None
    await api.check_api(way, config)
    way.skip_rest()
    async with cluster.open_cluster(target, config) as opened:
        if opened is not None:
            await rights.check_rights(target, opened)
    target.skip_rest()
    storage.check_storage(spool, config)
    await health.check_health(probes, config)
    return config
