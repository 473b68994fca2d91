"""The policy file on disk: read at start, and again when it changes."""

from pathlib import Path

from agent.errors import ConfigError
from agent.filewatch import FileWatch
from agent.guard import DEFAULT_POLICY, Policy, PolicyError, parse_policy
from agent.log import Log

_MAX_BYTES = 1024 * 1024  # a ConfigMap's own limit


class PolicyFile:
    """The policy in force."""

    def __init__(self, path: Path | None, log: Log) -> None:
        """Read the file once.

        Raises:
            ConfigError: there is a path, but no usable file at it.
        """
        self._path = path
        self._log = log
        self._policy = DEFAULT_POLICY
        self._watch = FileWatch(path)
        self._complaint: str | None = None
        if path is not None:
            self._watch.changed()
            try:
                self._policy = self._read(path)
            except (OSError, PolicyError) as error:
                raise ConfigError(
                    f"KUBENTLY_POLICY_FILE: {_sentence(path, error)}.",
                    "Try it: kubently-agent guard --policy FILE --explain",
                ) from error

    def current(self) -> Policy:
        """The policy for the next command. A new file that is missing or broken leaves the old policy in force."""
        if self._path is None or not self._watch.changed():
            return self._policy
        try:
            self._policy = self._read(self._path)
        except (OSError, PolicyError) as error:
            if isinstance(error, OSError):
                self._watch.forget()  # it may be the same file that can be read next time
            self._complain(_sentence(self._path, error))
        else:
            self._log.info("policy file read again", path=self._path)
            self._complaint = None
        return self._policy

    def _read(self, path: Path) -> Policy:
        policy = _read(path)
        if not policy.redaction.on:
            self._log.warning("redaction is off: credentials that kubectl prints are kept and sent", path=path)
        return policy

    def _complain(self, sentence: str) -> None:
        if sentence != self._complaint:
            self._complaint = sentence
            self._log.error("policy file unusable, the old policy stays", reason=sentence)


def _read(path: Path) -> Policy:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise PolicyError(f"the policy file is larger than {_MAX_BYTES} bytes")
    try:
        return parse_policy(content.decode())
    except UnicodeDecodeError as error:
        raise PolicyError("the policy file is not UTF-8 text") from error


def _sentence(path: Path, error: OSError | PolicyError) -> str:
    if isinstance(error, OSError):
        return f"{path} can't be read: {error.strerror}"
    return f"{path}: {error}"
