"""README says what is true: its table of settings is made from the settings."""

from pathlib import Path

from agent.settings import SETTINGS, Setting

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->"


def row(setting: Setting) -> str:
    default = "required" if setting.required else f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.name}` | {default} | {setting.meaning} |"


def table() -> str:
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *map(row, SETTINGS)]) + "\n"


def test_the_table_of_settings_is_the_settings():
    text = README.read_text()
    shown = text.partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), f"README's table should be:\n{table()}"
