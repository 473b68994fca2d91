"""The nursery, and the way of one command."""

from agent.config import SETTINGS
from agent.run import UPLOADERS
from tests.pictures.drawing import BLUE, GREEN, GREY, RED, SOFT, Drawing

EXECUTORS = next(s.default for s in SETTINGS if s.field == "executors")


def nursery() -> str:
    """Who runs beside whom, what goes from one to the other, and in which order they stop."""
    d = Drawing(1040, 470, "The agent's tasks: everything they hand over goes through the spool")
    d.frame(195, 20, 690, 430, "root nursery, agent/run.py")
    d.words(
        220, 66, "What is between two tasks is on disk first: a task that wakes another never carries the only copy."
    )
    d.words(
        220,
        84,
        "If one fails all end, and start again over the same spool. SIGTERM: stop taking, finish, deliver, close.",
    )
    d.box(20, 120, 110, 250, "Central API", "is asked,", "never asks", fill=BLUE)
    d.box(235, 120, 130, 74, "poller", "stops first")
    d.box(235, 296, 130, 74, f"uploader × {UPLOADERS}", "stops third")
    d.disk(
        455, 110, 150, 270, "spool", "one SQLite file", "", "commands", "results", "pieces of output", "", "closed last"
    )
    d.box(710, 120, 145, 74, f"executor × {EXECUTORS}", "stops second")
    d.box(710, 296, 145, 74, "guard", "parse, decide,", "write the line anew")
    d.box(925, 120, 100, 74, "kubectl", "a child each", fill=GREEN)
    d.box(925, 296, 100, 74, "Kubernetes", "read-only RBAC", fill=GREEN)
    d.box(235, 396, 300, 44, "maintenance", "retention, room, checkpoint")
    d.box(555, 396, 300, 44, "probes", "/livez  /readyz  /metrics")

    d.arrow([(235, 142), (130, 142)], "asks and waits", (182, 134))
    d.arrow([(130, 172), (235, 172)], "commands", (182, 188))
    d.arrow([(365, 157), (455, 157)], "journal", (409, 150))
    d.words(409, 172, "durable commit", anchor="middle", size=10.5, colour=SOFT)
    d.arrow([(605, 142), (710, 142)], "claim", (657, 135))
    d.arrow([(710, 172), (605, 172)], "output, result", (657, 188))
    d.arrow([(765, 194), (765, 296)], "arguments", (731, 250))
    d.arrow([(805, 296), (805, 194)], "plan or|refusal", (834, 242))
    d.arrow([(855, 157), (925, 157)], "runs", (890, 150))
    d.arrow([(975, 194), (975, 296)], "reads", (996, 250))
    d.arrow([(455, 333), (365, 333)], "oldest due", (409, 325))
    d.arrow([(365, 352), (455, 352)], "delivered", (409, 368))
    d.arrow([(235, 318), (130, 318)], "POST result", (182, 311))
    d.arrow([(130, 348), (235, 348)], "2xx", (182, 364))
    shared = "one picture of whether the API|can be reached, shared by both"
    d.words(300, 242, shared, anchor="middle", size=10.5, colour=SOFT)
    d.arrow([(300, 228), (300, 194)], dashed=True)
    d.arrow([(300, 262), (300, 296)], dashed=True)
    return d.svg()


STATES = (
    ("at the API", (), "The API's: it hands|the command out again.", BLUE),
    (
        "accepted",
        ("journalled, before", "anything runs"),
        "Runs at the next start,|if younger than 5 min,|else: interrupted.",
        GREY,
    ),
    (
        "running",
        ("output is stored piece", "by piece as it comes"),
        "Runs again: it only reads.|Not a third time if it|killed the agent twice.",
        GREY,
    ),
    (
        "spooled",
        ("result in one", "transaction"),
        "Is sent at the next start,|the same bytes, not run|again.",
        GREY,
    ),
    (
        "delivered",
        ("only after a 2xx",),
        "Known: if the API hands|it out once more, the|result is sent once more.",
        GREEN,
    ),
)


def command() -> str:
    """The states of one command, and what a kill at each of them means."""
    d = Drawing(980, 330, "The way of one command, and what happens if the agent is killed on it")
    d.words(24, 34, "The way of one command", bold=True, size=16)
    d.words(
        24,
        54,
        "Each arrow is one durable commit. Below: the agent is killed in this state (SIGKILL, a node that fails).",
        colour=SOFT,
    )
    wide, gap = 152, 43
    for number, (name, words, killed, fill) in enumerate(STATES):
        x = 24 + number * (wide + gap)
        d.box(x, 84, wide, 72, name, *words, fill=fill)
        d.words(x + wide / 2, 210, killed, anchor="middle", size=11.5)
        d.arrow([(x + wide / 2, 156), (x + wide / 2, 194)], dashed=True)
        if number:
            d.arrow([(x - gap, 120), (x, 120)])
    for number, step in enumerate(("poll", "claim", "exit", "POST")):
        d.words(24 + wide + number * (wide + gap) + gap / 2, 112, step, anchor="middle", size=11.5)
    spooled = 24 + 3 * (wide + gap) + wide
    d.box(24 + 4 * (wide + gap), 270, wide, 46, "rejected", "kept; can be retried", fill=RED)
    d.arrow(
        [
            (spooled - 20, 156),
            (spooled - 20, 178),
            (spooled + gap / 2, 178),
            (spooled + gap / 2, 293),
            (spooled + gap, 293),
        ]
    )
    d.words(spooled + 10, 298, "400, 404, 409, 422", anchor="end", size=11.5)
    d.words(
        24,
        284,
        "An id is accepted once. There is exactly one result in the end, never two different ones,",
        colour=SOFT,
    )
    d.words(24, 302, "and nothing is dropped to make room: a full spool stops taking commands instead.", colour=SOFT)
    return d.svg()
