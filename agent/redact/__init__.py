"""Redaction: text in, the same text without credentials out. Pure; nothing here reads a file or the wall clock."""

from agent.redact.redactor import MARK, Redactor
from agent.redact.rules import DEFAULT, KINDS, REDACT_KEYS, RULES, Redaction, parse_redaction

__all__ = ["DEFAULT", "KINDS", "MARK", "REDACT_KEYS", "RULES", "Redaction", "Redactor", "parse_redaction"]
