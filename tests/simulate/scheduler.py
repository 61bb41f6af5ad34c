"""Simulated time: processes whose threads take turns, the wall clock, and what happens at a later time.

One thread runs at a time. It goes on until it waits for simulated time; then whatever is due next runs. What is due at
the same time runs in an order that the seed gives. So a seed is a history, the same one each time.
"""

import _thread
import heapq
import random
import threading
from itertools import count

START_S = 1_000.0


class Killed(BaseException):
    """SIGKILL came: nothing more of the process has an effect."""


class Process:
    """A process of the simulation. clock: its own `steady.Clock`, set by who starts it."""

    def __init__(self, world, name):
        self.world, self.name, self.clock = world, name, None
        self.dead = self.stopped = self.over = False
        self.tasks, self.held = [], []
        self.began, self.asked_to_end = world.now, False

    @property
    def alive(self):
        return not (self.dead or self.over)

    def kill(self):
        self.world.say(f"{self.name} KILLED")
        self.dead = True
        self.held = []
        for task in self.tasks:
            self.world.wake(task)

    def pause(self):
        self.world.say(f"{self.name} SIGSTOP")
        self.stopped = True

    def go_on(self):
        self.world.say(f"{self.name} SIGCONT")
        self.stopped = False
        held, self.held = self.held, []
        for task in held:
            self.world.wake(task)


class Task:
    """One thread of a process. It runs only while it has the baton."""

    def __init__(self, process, body):
        self.process, self.ticket, self.done = process, 0, False
        self.between = None  # called while it waits for an answer, as patience.beside does
        self._body = body
        self.baton = _thread.allocate_lock()
        self.baton.acquire()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        self.baton.acquire()
        try:
            if not self.process.dead:
                self._body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - whoever reads the seed's result raises it
            self.process.world.failures.append(error)
        self.done = True
        self.process.tasks.remove(self)
        self.process.world.pass_on()


class World:
    """Simulated time and all that runs in it.

    now: seconds that only grow. ahead: of the wall clock, in seconds since 1970. trace: what happened, a line each.
    """

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.now, self.base = START_S, 1_760_000_000.0 + seed % 1_000_003 * 86_400.0
        self.ahead = self.base
        self.trace, self.failures = [], []
        self.task = None
        self.idle_until = 0.0  # nothing happens before: who polls in vain may wait so long
        self._queue, self._order = [], count()
        self._end = _thread.allocate_lock()
        self._end.acquire()

    # -- what simulated code asks ----------------------------------------------------------------------------------

    def wait(self, seconds):
        """Let time pass for the task that runs."""
        task = self.task
        if task is None:  # something that happens by itself takes no time
            return
        if task.process.dead:
            raise Killed
        if task.between is not None:
            between, task.between = task.between, None
            try:
                while seconds > 0.25:
                    self._switch(task, 0.25)
                    seconds -= 0.25
                    between()
            finally:
                task.between = between
        self._switch(task, seconds)

    def wall(self):
        return self.now + self.ahead

    def running(self):
        return self.now

    def say(self, words):
        self.trace.append(f"{self.now:.3f} {words}")

    # -- who runs when ---------------------------------------------------------------------------------------------

    def spawn(self, process, body):
        """A thread of a process, from now on."""
        task = Task(process, body)
        process.tasks.append(task)
        task.thread.start()
        self.wake(task)
        return task

    def at(self, delay, call):
        """Something that happens by itself, later."""
        self._push(self.now + delay, call, 0)

    def wake(self, task):
        task.ticket += 1
        self._push(self.now, task, task.ticket)

    def run(self):
        """Until nothing is to happen any more."""
        self.pass_on()
        self._end.acquire()

    def pass_on(self):
        """Give the baton to whoever is next; the caller runs no more."""
        following = self._next()
        if following is None:
            self._end.release()
        else:
            following.baton.release()

    def _switch(self, task, seconds):
        task.ticket += 1
        self._push(self.now + seconds, task, task.ticket)
        following = self._next()
        if following is not task:
            following.baton.release()
            task.baton.acquire()
        if task.process.dead:
            raise Killed

    def _push(self, at, what, ticket):
        heapq.heappush(self._queue, (at, self.rng.random(), next(self._order), what, ticket))

    def _next(self):
        """The task that is due next; what happens by itself before it has happened."""
        while self._queue:
            at, _, _, what, ticket = heapq.heappop(self._queue)
            if not isinstance(what, Task):
                self.now = max(self.now, at)
                self.task = None
                try:
                    what()
                except Exception as error:  # noqa: BLE001 - it is no fault of the task that waits meanwhile
                    self.failures.append(error)
                continue
            if what.done or ticket != what.ticket:
                continue
            if what.process.stopped and not what.process.dead:
                what.process.held.append(what)
                continue
            self.now, self.task = max(self.now, at), what
            return what
        return None
