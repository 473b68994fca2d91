"""The spool: its folder, the room for it, and the file if there is one."""

import os
import shutil
import tempfile
from pathlib import Path

from agent.check.findings import Area
from agent.config import Config
from agent.errors import AgentError, SpoolError
from agent.humanize import size
from agent.spool.lock import is_held
from agent.spool.opening import look

CHECKS = ("folder", "room", "file")

_PROBE_BYTES = 4096


def check_storage(area: Area, config: Config) -> None:
    """All three. Neither the spool nor its lock is touched."""
    wanted = config.spool_path.parent
    folder = next(each for each in config.spool_path.parents if each.exists())
    try:
        _write(folder)
    except OSError as error:
        area.failed("folder", AgentError(f"{folder}: a file can't be written: {error.strerror}.", _folder_hint(error)))
    else:
        later = "" if folder == wanted else f"; {wanted} is made in it at the first start"
        area.passed("folder", f"{folder} takes a file and keeps it{later}")
    _room(area, config, folder)
    _file(area, config.spool_path)


def _write(folder: Path) -> None:
    """What the spool does all day: write a file and wait until the disk has it."""
    with tempfile.TemporaryFile(dir=folder, prefix=".check-") as file:
        file.write(os.urandom(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _folder_hint(error: OSError) -> str:
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return "The disk is full. The agent takes no commands until there is room, and keeps what it has."
    return f"Mount a writable volume there and give it to user {os.geteuid()} (in Kubernetes: fsGroup)."


def _room(area: Area, config: Config, folder: Path) -> None:
    path = config.spool_path
    used = sum(_bytes(file) for file in path.parent.glob(path.name + "*"))
    free = shutil.disk_usage(folder).free
    wanted = max(0, config.spool_max_bytes - used)
    words = f"{size(free)} free; the spool has {size(used)} of the {size(config.spool_max_bytes)} it may take"
    if free >= wanted:
        area.passed("room", words)
    elif free < config.max_output_bytes:
        area.failed("room", AgentError(words, "Make room: not even one command's output would fit."))
    else:
        area.warned(
            "room",
            words,
            "The disk will be full before the spool is: make room, "
            f"or set KUBENTLY_SPOOL_MAX_BYTES to {_fitting(used + free)}.",
        )


def _fitting(count: int) -> str:
    """A size for the variable, with some room left for others."""
    return f"{max(4, count * 9 // 10 >> 20)}Mi"


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except OSError:  # a temporary file that is gone by now
        return 0


def _file(area: Area, path: Path) -> None:
    if not path.exists():
        area.passed("file", f"none yet: {path.name} is made at the first start")
        return
    live = is_held(path)
    try:
        damage = look(path)
    except SpoolError as error:
        area.failed("file", error)
        return
    except OSError as error:
        area.failed(
            "file", AgentError(f"{path} can't be opened: {error.strerror}.", f"Give it to user {os.geteuid()}.")
        )
        return
    if damage:
        area.warned(
            "file",
            f"{path.name} is damaged: {damage}",
            "At its next start the agent puts it aside, begins a new one, and brings over what can be read.",
        )
    else:
        area.passed("file", f"{path.name} is sound{', and an agent works with it now' if live else ''}")
