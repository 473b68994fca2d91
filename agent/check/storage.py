"""The spool: its folder, the room for it, and the file if there is one. None of it is touched."""

import os
import shutil
from pathlib import Path

from agent.check.findings import Area
from agent.config import Config
from agent.errors import AgentError, SpoolError
from agent.humanize import size
from agent.spool.lock import is_held
from agent.spool.opening import look, refuse_foreign, try_volume
from agent.spool.space import OWN, beside, file_bytes

CHECKS = ("folder", "room", "file")

MEMORY = frozenset({"tmpfs", "ramfs"})
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p"})


def check_storage(area: Area, config: Config) -> None:
    """All three."""
    path = config.spool_path
    folder = next(each for each in path.parents if each.exists())
    later = "" if folder == path.parent else f"; {path.parent} is made in it at the first start"
    kind = file_system(folder)
    try:
        try_volume(folder)
    except SpoolError as error:
        area.failed("folder", error)
    else:
        if kind in MEMORY:
            hint = "Undelivered results go with the machine or the pod. Mount a volume on a disk."
            area.warned("folder", f"{folder} is memory ({kind}){later}", hint)
        elif kind in NETWORK:
            hint = "Locks there may not hold, and a durable commit is slow. Mount a volume on a local disk."
            area.warned("folder", f"{folder} is on the network ({kind}){later}", hint)
        else:
            area.passed("folder", f"{folder} takes a database and keeps it{later}")
    _room(area, config, folder)
    _file(area, path)


def file_system(folder: Path) -> str:
    """Its kind, as the kernel calls it; "" if that can't be found out."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number), "")


def _room(area: Area, config: Config, folder: Path) -> None:
    used = sum(file_bytes(beside(config.spool_path, suffix)) for suffix in OWN)
    free = shutil.disk_usage(folder).free
    wanted = max(0, config.spool_max_bytes - used)
    words = f"{size(free)} free; the spool has {size(used)} of the {size(config.spool_max_bytes)} it may take"
    if free >= wanted:
        area.passed("room", words)
    elif free < config.max_output_bytes:
        area.failed("room", AgentError(words, "Make room: not even one command's output would fit."))
    else:
        fitting = max(4, (used + free) * 9 // 10 >> 20)  # with some room left for others
        hint = "The disk will be full before the spool is: make room, or set KUBENTLY_SPOOL_MAX_BYTES to "
        area.warned("room", words, f"{hint}{fitting}Mi.")


def _file(area: Area, path: Path) -> None:
    if not path.exists():
        area.passed("file", f"none yet: {path.name} is made at the first start")
        return
    try:
        refuse_foreign(path)
        damage = look(path)
    except SpoolError as error:
        area.failed("file", error)
    except OSError as error:
        area.failed("file", AgentError(f"{path} can't be opened: {error.strerror}", f"Give it to user {os.geteuid()}."))
    else:
        live = ", and an agent works with it now" if is_held(path) else ""
        if damage is None:
            area.passed("file", f"{path.name} is sound{live}")
        else:
            hint = "At its next start the agent puts it aside, begins a new one, and brings over what can be read."
            area.warned("file", f"{path.name} is damaged: {damage}", hint)
