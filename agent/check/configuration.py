"""The environment, the token, the policy file."""

import time
from collections.abc import Mapping
from difflib import get_close_matches

from agent.check.findings import Area
from agent.config import SETTINGS, Config, unknown_variables
from agent.errors import AgentError, ConfigError
from agent.humanize import age
from agent.link.proxy import proxy_for
from agent.link.tls import tls_context
from agent.link.token import Token
from agent.log import Log
from agent.policy import PolicyFile

CHECKS = ("settings", "token", "policy")


def check_configuration(area: Area, environ: Mapping[str, str]) -> Config | None:
    """The configuration, or None if there is a mistake in it."""
    try:
        config = Config.from_environ(environ)
        proxy_for(config.api_url)
        tls_context(config)
    except ConfigError as error:
        for mistake in error.mistakes:
            area.failed("settings", mistake)
        return None
    given = [s.name for s in SETTINGS.values() if environ.get(s.name, "").strip()]
    area.passed("settings", f"cluster {config.cluster_id}, link {config.link}, {len(given)} variables set")
    for name in unknown_variables(environ):
        near = get_close_matches(name, [setting.name for setting in SETTINGS.values()], 1, 0.85)
        hint = f"Is {near[0]} meant?" if near else "Unset it: nothing here reads it."
        area.warned("settings", f"the agent doesn't know {name}", hint)
    return config if _token(area, config) and _policy(area, config) else None


def _token(area: Area, config: Config) -> bool:
    try:
        token = Token(config.token, config.token_file).current()
    except AgentError as error:
        area.failed("token", error)
        return False
    if config.token_file is None:
        area.passed("token", f"{len(token)} characters, from KUBENTLY_TOKEN; a file could be rotated without a restart")
    else:
        written = age(time.time() - config.token_file.stat().st_mtime)
        area.passed("token", f"{len(token)} characters, from {config.token_file}, written {written} ago")
    return True


def _policy(area: Area, config: Config) -> bool:
    try:
        policy = PolicyFile(config.policy_file, Log("check")).current()
    except ConfigError as error:
        area.failed("policy", error)
        return False
    off = "" if policy.redaction.on else "; redaction is off, so credentials that kubectl prints are kept and sent"
    area.passed("policy", "the agent's own" if config.policy_file is None else f"narrowed by {config.policy_file}{off}")
    return True
