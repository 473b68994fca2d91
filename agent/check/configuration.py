"""The environment, the token, the policy file."""

import time
from collections.abc import Mapping
from difflib import get_close_matches

from agent.check.findings import Area
from agent.config import Config, unknown_variables
from agent.errors import ConfigError, LinkDown
from agent.humanize import age
from agent.link.proxy import proxy_for
from agent.link.tls import tls_context
from agent.link.token import Token
from agent.log import Log
from agent.policy import PolicyFile
from agent.settings import SETTINGS

CHECKS = ("settings", "token", "policy")


def check_configuration(area: Area, environ: Mapping[str, str]) -> Config | None:
    """The configuration, or None if there is a mistake in it."""
    try:
        config = Config.from_environ(environ)
        proxy_for(config.api_url)
        tls_context(config)
    except ConfigError as error:
        for problem in error.problems:
            # Each sentence ends with what would be right.
            words, _, hint = problem.partition(". ")
            area.failed("settings", words, hint or "Correct it where the agent's environment is set.")
        return None
    given = [s.name for s in SETTINGS if environ.get(s.name, "").strip()]
    area.passed("settings", f"cluster {config.cluster_id}, link {config.link}, {len(given)} variables set")
    if unknown := unknown_variables(environ):
        area.warned("settings", f"the agent doesn't know {', '.join(unknown)}", _meant(unknown))
    if not _token(area, config):
        return None
    return config if _policy(area, config) else None


def _meant(unknown: list[str]) -> str:
    known = [setting.name for setting in SETTINGS]
    near = [match for name in unknown for match in get_close_matches(name, known, 1, 0.85)]
    return f"Is {' and '.join(near)} meant?" if near else "Unset what is of no use: nothing here reads it."


def _token(area: Area, config: Config) -> bool:
    try:
        token = Token(config.token, config.token_file).current()
    except LinkDown as error:
        area.failed("token", error.reason, "Name a readable file that holds this cluster's token.")
        return False
    if config.token_file is None:
        area.passed("token", f"{len(token)} characters, from KUBENTLY_TOKEN; a file could be rotated without a restart")
    else:
        written = age(time.time() - config.token_file.stat().st_mtime)
        area.passed("token", f"{len(token)} characters, from {config.token_file}, written {written} ago")
    return True


def _policy(area: Area, config: Config) -> bool:
    try:
        PolicyFile(config.policy_file, Log("check"))
    except ConfigError as error:
        area.failed("policy", str(error), "`kubently-agent guard --policy FILE` reads it as the agent does.")
        return False
    area.passed("policy", "the agent's own" if config.policy_file is None else f"narrowed by {config.policy_file}")
    return True
