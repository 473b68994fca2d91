"""Signs of life."""

from agent.watchdog import Watchdog


def test_who_is_silent_too_long_is_named():
    now = [0.0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.beat("poller", 60)
    watchdog.beat("maintenance", 30)
    now[0] = 40
    assert watchdog.silent() == {"maintenance": 40}
    watchdog.beat("maintenance", 30)
    assert watchdog.silent() == {}
    now[0] = 100
    watchdog.dismiss("maintenance")
    assert watchdog.silent() == {"poller": 100}
    watchdog.dismiss("never there")
