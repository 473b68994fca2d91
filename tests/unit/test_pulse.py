"""Signs of life."""

from agent.pulse import Pulse


def test_who_is_silent_too_long_is_named():
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    pulse.expect("poller", 60)
    pulse.expect("janitor", 30)
    now[0] = 40
    assert pulse.silent() == {"janitor": 40}
    pulse.beat("janitor")
    assert pulse.silent() == {}
    now[0] = 100
    pulse.dismiss("janitor")
    assert pulse.silent() == {"poller": 100}
    pulse.dismiss("never there")
