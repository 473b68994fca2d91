"""Whether files have changed: the token, certificates, the policy. Kubernetes swaps mounted ones by a symbolic link."""

from pathlib import Path

Stamp = tuple[int, int, int, int]


class FileWatch:
    """The files at `paths`, of which some may be None. One `stat` each costs microseconds."""

    def __init__(self, *paths: Path | None) -> None:
        self._paths = tuple(path for path in paths if path is not None)
        self._seen: tuple[Stamp | None, ...] | None = None

    def changed(self) -> bool:
        """Whether any is another one than when this was asked last; the first time always, if there are any."""
        now = tuple(map(_stamp, self._paths))
        changed, self._seen = bool(now) and now != self._seen, now
        return changed

    def forget(self) -> None:
        """Let `changed` say yes the next time."""
        self._seen = None


def _stamp(path: Path) -> Stamp | None:
    """None if it isn't there. ctime tells too that its rights have changed."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
