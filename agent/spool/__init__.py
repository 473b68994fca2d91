"""Commands and results on disk: one SQLite file, from which nothing is lost.

    accepted ──▶ running ──▶ spooled ──▶ delivered
                                  └────▶ rejected      the API refused this one result for good

Every command is here before it runs, every result before it is sent. The only room that knows SQLite.
"""

from agent.spool.spool import Spool, open_spool
from agent.spool.values import Claim, Counts, Delivery, Intake, Limits, Recovery, Swept

__all__ = ["Claim", "Counts", "Delivery", "Intake", "Limits", "Recovery", "Spool", "Swept", "open_spool"]
