"""The incidents of docs/incident.md, and README's question to the spool. Each scene has an agent of its own."""

import trio

from tests.rehearsal.stage import Texts, results_answered_with, stage

SPOOL = "/var/lib/kubently/spool.db"


async def api_away(texts: Texts) -> None:
    """The API goes away while three commands run, for longer than a minute."""
    async with stage(texts, 1) as s:
        await s.answered(await s.ask("get", "nodes"))
        s.cluster.log_delay = lambda: 1.5
        pods = ("orders-db-0", "payments-vtkk2xswmn-85ptc", "web-mwwp2f6bd5-4t2c7")
        ids = [await s.ask("logs", pod, "-n", "shop", "--tail=20") for pod in pods]
        await s.logged("command accepted", 4)
        await s.api.stop()
        await s.logged("still can't be reached after")
        await s.api.start()
        await s.answered(*ids)
        await s.logged("result delivered", 4)
        s.show_log("api-away-log", "can't be reached", "API reached again")


async def token_expired(texts: Texts) -> None:
    """The token is changed at the API first, and in the cluster's Secret later."""
    async with stage(texts, 2) as s:
        await s.answered(await s.ask("get", "pods", "-n", "shop"))
        s.api.token = "the-next-one"
        await s.logged("API refuses this agent")
        await s.shell("token-check", "kubently-agent check | sed -n '/Central API/,/^$/p'")
        s.token_file.write_text("the-next-one")
        await s.logged("API reached again")


async def command_stuck(texts: Texts) -> None:
    """One command waits for a node that doesn't answer; the API refuses the result of another."""
    async with stage(texts, 4) as s:
        s.cluster.log_delay = lambda: 600.0
        await s.ask("logs", "web-mwwp2f6bd5-4t2c7", "-n", "shop", timeout=40)
        refused = await s.ask("get", "deployments", "-n", "shop")
        s.api.forget(refused)
        await s.logged("result refused by the API")
        await trio.sleep(15)
        await s.shell("stuck-status", "kubently-agent status")


async def stuck(texts: Texts) -> None:
    """The API refuses one result, and takes no others."""
    async with stage(texts, 6) as s:
        refused = await s.ask("get", "events", "-n", "shop")
        s.api.forget(refused)
        await s.logged("result refused by the API")
        s.api.interfere = results_answered_with(503)
        for args in (("top", "nodes"), ("get", "deployments", "-n", "shop")):
            await s.ask(*args)
        await s.logged("command finished", 3)
        await trio.sleep(12)
        question = '"select since_at, command, state, why from stuck"'
        await s.shell("spool-stuck", f"sqlite3 -readonly -header -column {SPOOL} \\\n    {question}")


SCENES = (api_away, token_expired, command_stuck, stuck)
