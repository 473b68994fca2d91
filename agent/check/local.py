"""What is on this machine: the configuration, the spool's volume and file, the probes' port. Nothing is changed."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from agent.check import Area, Mark
from agent.config import SETTINGS, Config, unknown_variables
from agent.errors import ConfigError, size
from agent.link.credentials import Token, tls_context
from agent.link.proxy import proxy_for
from agent.policy import PolicyFile
from agent.probes.server import listen
from agent.spool import Limits
from agent.spool.failure import said
from agent.spool.lock import is_held
from agent.spool.opening import look, refuse_foreign, try_volume
from agent.spool.space import Space, own_bytes

_POOR_VOLUMES = {
    "tmpfs ramfs": "That is memory: what isn't delivered goes with the machine. Mount a disk there.",
    "nfs nfs4 cifs smb3 9p": "Locks may not hold there, and a durable commit is slow. Mount a local disk.",
}


def read_configuration(area: Area, environ: Mapping[str, str]) -> Config:
    """The environment, the token, the policy file."""
    area.check = "settings"
    config = Config.from_environ(environ)
    proxy_for(config.api_url)
    tls_context(config)
    area.passed(f"cluster {config.cluster_id}, link {config.link}")
    names = [setting.name for setting in SETTINGS.values()]
    for name in unknown_variables(environ):
        near = get_close_matches(name, names, 1, 0.85)
        hint = f"Is {near[0]} meant?" if near else "Unset it: nothing here reads it."
        area.found(Mark.WARNED, f"the agent doesn't know {name}", hint)

    area.check = "token"
    token = Token(config.token, config.token_file).current()
    area.passed(f"{len(token)} characters, from {config.token_file or 'KUBENTLY_TOKEN'}")

    area.check = "policy"
    policy = PolicyFile(config.policy_file).current()
    off = "" if policy.redaction.on else "; redaction is off, so credentials that kubectl prints are kept and sent"
    area.passed("the agent's own" if config.policy_file is None else f"narrowed by {config.policy_file}{off}")
    return config


def check_spool(area: Area, config: Config) -> None:
    """The room for the spool, its folder, and the file if there is one."""
    path = config.spool_path
    folder = next(each for each in path.parents if each.exists())
    area.check = "room"
    most = Space(folder / path.name, Limits(config.spool_max_bytes)).plan.capacity_bytes
    words = f"{size(own_bytes(path))} used of the {size(most)} that the spool may take"
    if most < config.spool_max_bytes:
        hint = "The disk, or damaged files put aside, leave no more: make room, or lower KUBENTLY_SPOOL_MAX_BYTES."
        area.found(Mark.WARNED, words, hint)
    else:
        area.passed(words)

    area.check = "folder"
    try_volume(folder)
    later = "" if folder == path.parent else f"; {path.parent} is made in it at the first start"
    kind = file_system(folder)
    if hint := next((hint for kinds, hint in _POOR_VOLUMES.items() if kind in kinds.split()), ""):
        area.found(Mark.WARNED, f"{folder} is on {kind}{later}", hint)
    else:
        area.passed(f"{folder} takes a database and keeps it{later}")

    area.check = "file"
    if not path.exists():
        area.passed(f"none yet: {path.name} is made at the first start")
        return
    refuse_foreign(path)
    with said(f"The spool {path} can't be opened"):
        damage = look(path)
    if damage is not None:
        hint = "At its next start the agent puts it aside, begins a new one, and brings over what can be read."
        area.found(Mark.WARNED, f"{path.name} is damaged: {damage}", hint)
    else:
        area.passed(f"{path.name} is sound{', and an agent works with it now' if is_held(path) else ''}")


def file_system(folder: Path) -> str:
    """Its kind, as the kernel calls it; "" if that can't be found out."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines())
    return next((fields[fields.index("-") + 1] for fields in mounts if fields[2] == number), "")


async def check_port(area: Area, config: Config) -> None:
    """Whether the probes' port is free, or in use by the agent that has the spool."""
    area.check = "port"
    address = ":".join(map(str, config.health_address))
    try:
        for listener in await listen(config.health_address):
            await listener.aclose()
    except ConfigError:
        if not is_held(config.spool_path):
            raise
        area.passed(f"{address} is taken, as an agent runs here")
    else:
        area.passed(f"{address} is free for /livez, /readyz and /metrics")
