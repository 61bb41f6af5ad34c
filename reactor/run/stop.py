"""Stop: the signals that end a soak, and how long it may take while its run is not open yet.

See docs/design/running.md.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from journal.judge.gate import EXIT, HOLD

OPENING_S: Final = 3.5  # from the signal on, for a run that is not open yet; ClickHouse may not answer for longer
_leave: Final = os._exit  # foreign code finds another one


class Stop:
    """Ctrl-C, SIGTERM and SIGHUP of this process: the first asks for the end, another ends it and its children at once.

    Whoever opens a run asks nobody whether to end, and may wait for a ClickHouse that is stopped. So one that is not
    open after OPENING_S is left as by a kill: a resume goes on with what the journal has.

    A SIGHUP ends nothing at once: of a terminal that closes several may come. One that is ignored, as `nohup` does it,
    stays so.
    """

    def __init__(self, say: Callable[[str], None], *, is_open: bool = True) -> None:
        """say: takes a line for people. is_open: whether the run is. From here on the signals are handled."""
        self._asked, self._say, self._is_open = False, say, is_open
        self._timer: threading.Timer | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on)

    def __call__(self) -> bool:
        return self._asked

    def opened(self) -> None:
        """The run is open: from here on it is asked whether to end."""
        self._is_open = True
        if self._timer is not None:
            self._timer.cancel()

    def over(self) -> None:
        """The run is over: from here on a signal ends what stays beside it, without a word."""
        self._say = lambda words: None

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            if number != signal.SIGHUP:
                _leave(EXIT[HOLD])  # the broker and the feeder die with us; the engine sees that it is alone
            return
        self._asked = True
        self._say("stopping: journaling what was read; once more stops at once")
        if not self._is_open:
            self._timer = threading.Timer(OPENING_S, self._give_up)
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self) -> None:
        if not self._is_open:
            self._say("stopped: the run was not open yet, and nothing of it was read; the same command goes on")
            _leave(EXIT[HOLD])
