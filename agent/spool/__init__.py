"""Commands and results on disk: one SQLite file, from which nothing is lost.

    accepted ──▶ running ──▶ spooled ──▶ delivered
                                  └────▶ rejected      the API refused this one result for good

Every command is here before it runs, every result before it is sent. The only room that knows SQLite.
"""

from agent.spool.journal import Claim
from agent.spool.opening import open_spool
from agent.spool.spool import Spool
from agent.spool.values import SMALL_BYTES, Counts, Delivery, Limits, Recovery
from agent.spool.waiting import until_written

__all__ = ["SMALL_BYTES", "Claim", "Counts", "Delivery", "Limits", "Recovery", "Spool", "open_spool", "until_written"]
