"""`kubently-agent check`: everything the agent needs, looked at before it runs, or beside it in the same pod.

Nothing here takes the spool's lock, touches what a running agent uses, or waits without a limit. An area ends at its
first failure, as what follows needs what failed. The areas don't depend on each other: the cluster is looked at even if
the API is away.
"""

from collections.abc import Mapping

from agent.check.api import check_api
from agent.check.cluster import check_cluster
from agent.check.findings import Area, Finding, Mark, Tell
from agent.check.local import check_port, check_spool, read_configuration
from agent.config import Config

__all__ = ["Finding", "Mark", "check_everything"]


async def check_everything(environ: Mapping[str, str], tell: Tell) -> Config | None:
    """Make every check; `tell` gets each finding as it is known. Returns None if the configuration is wrong."""
    config = None
    with Area("Configuration", tell) as area:
        config = read_configuration(area, environ)
    if config is None:
        return None
    with Area("Central API", tell) as area:
        await check_api(area, config)
    with Area("Cluster", tell) as area:
        await check_cluster(area, config)
    with Area("Spool", tell) as area:
        check_spool(area, config)
    with Area("Probes", tell) as area:
        await check_port(area, config)
    return config
