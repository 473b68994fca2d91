"""sqlite-utils without click and dateutil: 2 MB for progress bars and dates that the spool never asks it for."""

from agent.lean import hollow

with hollow(click=("Group",), dateutil=("parser",)):
    from sqlite_utils import Database, Migrations

__all__ = ["Database", "Migrations"]
