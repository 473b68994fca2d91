"""`make breakages` plants them all, which takes minutes; that each still has its place is known at once."""

import pytest

from tests.chaos.breakages import ROOT
from tests.chaos.planted import PLANTED


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.promise)
def test_each_breakage_has_its_place(planted):
    assert (ROOT / planted.file).read_text().count(planted.old) == 1
    assert planted.new != planted.old
    for name in planted.tests:
        assert not name.endswith(".py") or (ROOT / name).exists()


def test_there_are_enough():
    assert len({planted.promise for planted in PLANTED}) == len(PLANTED) >= 20
