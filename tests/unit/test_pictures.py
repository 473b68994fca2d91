"""What a recording keeps of what was written to a terminal, and the picture made of it."""

import xml.etree.ElementTree as ET

import pytest

from tests.pictures import animation
from tests.pictures.recording import CHECKOUT, ROWS, Run, Shown, played


def test_lines_colours_and_a_line_that_lives():
    recording = played(
        [
            (0.0, "\x1b[1;36m1  Begin\x1b[0m plain\r\n"),
            (1.0, "   lost 0"),
            (2.0, "\r\x1b[K   lost \x1b[1m0\x1b[0m, sent 3"),
            (2.5, "\r\n"),
        ]
    )
    assert recording.shown == [
        Shown(0, (Run(0, "1  Begin", ("1", "36")), Run(8, " plain", ())), 0.0),
        Shown(1, (Run(0, "   lost 0", ()),), 1.0, 2.0),
        Shown(1, (Run(0, "   lost ", ()), Run(8, "0", ("1",)), Run(9, ", sent 3", ())), 2.0),
    ]


def test_the_path_of_the_checkout_is_nobodys_business():
    assert played([(0.0, f"with {CHECKOUT}.venv/bin/kubectl\r\n")]).shown[0].runs[0].text == "with .venv/bin/kubectl"


def test_what_the_terminal_doesnt_know_is_an_error():
    with pytest.raises(ValueError, match="doesn't know"):
        played([(0.0, "\x1b[2J")])


def test_the_animation_is_well_formed_and_ends_at_the_bottom():
    recording = played([(float(i), f"line {i} <&>\r\n") for i in range(ROWS + 5)])
    text = animation.animated(recording, "a <title>")
    ET.fromstring(text)
    assert "line 3 &lt;&amp;&gt;" in text
    assert f"100% {{ transform: translate(0, {-5 * animation.LINE:g}px) }}" in text
    assert text.count("@keyframes r") == ROWS + 5
