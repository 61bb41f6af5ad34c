"""One sequencer a topic: a second is refused while the first lives, and no longer."""

import pytest

from journal.refusal import Refusal
from reactor.feed.alone import alone


def test_a_second_one_is_refused_while_the_first_lives():
    with alone("h:1", "scans"):
        with alone("h:1", "other"), alone("h:2", "scans"):
            pass
        with (
            pytest.raises(
                Refusal, match="another `violet sequence` or `violet publish` on this machine writes to 'scans'"
            ),
            alone("h:1", "scans"),
        ):
            pass
    with alone("h:1", "scans"):
        pass
