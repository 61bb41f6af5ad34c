import pytest

from lanes.code import DcStatus
from lanes.dc import dc


@pytest.mark.parametrize("boost", [1.0, 1.1, 1.15])
def test_only_confirm_lifts(boost):
    assert dc(DcStatus.CONFIRM, boost) == boost
    assert {dc(status, boost) for status in DcStatus if status is not DcStatus.CONFIRM} == {1.0}


def test_contradict_does_not_reduce():
    assert dc(DcStatus.CONTRADICT, 1.5) == 1.0
