"""What `-o` may be."""

from agent.guard.template import columns_complaint, jsonpath_complaint, template_complaint
from agent.guard.values import Rule

WORDS = ("json", "yaml", "kyaml", "wide", "name")

_INLINE = {
    "jsonpath": jsonpath_complaint,
    "jsonpath-as-json": jsonpath_complaint,
    "custom-columns": columns_complaint,
    "go-template": template_complaint,
    "template": template_complaint,
}
_FROM_FILE = ("jsonpath-file", "custom-columns-file", "go-template-file", "templatefile")


def inline(*words: str) -> Rule:
    """These words, or a format written out on the command line. It can only show what was fetched anyway."""
    says = f"{', '.join(words)}, or inline {'=…, '.join(_INLINE)}=…"

    def complaint(value: str) -> str | None:
        form, _, text = value.partition("=")
        if form in _FROM_FILE:
            return f"{form} prints a local file; write the format inline, as in jsonpath=… or custom-columns=…"
        if value in words:
            return None
        if form not in _INLINE or not text:
            return f"expected {says}"
        return _INLINE[form](text)

    return Rule(says, complaint)
