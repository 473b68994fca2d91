"""The policy file on disk: read at start, and again when it changes."""

from pathlib import Path

from agent.errors import ConfigError, PolicyError
from agent.guard import DEFAULT_POLICY, Policy, parse_policy
from agent.log import Log
from agent.settings import FileWatch

log = Log("policy")


class PolicyFile:
    """The policy in force. Raises ConfigError when made for a path without a usable file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._watch = FileWatch(path)
        self._complaint = ""
        self._watch.changed()
        try:
            self._policy = DEFAULT_POLICY if path is None else self._read(path)
        except PolicyError as error:
            hint = "Try it: kubently-agent guard --policy FILE --explain"
            raise ConfigError(f"KUBENTLY_POLICY_FILE: {error}.", hint) from error

    def current(self) -> Policy:
        """The policy for the next command. A new file that is missing or broken leaves the old policy in force."""
        if self._path is None or not self._watch.changed():
            return self._policy
        try:
            self._policy = self._read(self._path)
        except PolicyError as error:
            self._watch.forget()  # it may be the same file that can be read next time
            if str(error) != self._complaint:
                log.error("policy file unusable, the old policy stays", reason=str(error))
            self._complaint = str(error)
        else:
            log.info("policy file read again", path=self._path)
            self._complaint = ""
        return self._policy

    def _read(self, path: Path) -> Policy:
        try:
            policy = parse_policy(path.read_text("utf-8"))
        except OSError as error:
            raise PolicyError(f"{path} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise PolicyError(f"{path} is not UTF-8 text") from error
        except PolicyError as error:
            raise PolicyError(f"{path}: {error}") from error
        if not policy.redaction.on:
            log.warning("redaction is off: credentials that kubectl prints are kept and sent", path=path)
        return policy
