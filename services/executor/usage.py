"""What a worker uses of its machine: processor and memory of its whole process tree."""

import threading
import time
from datetime import timedelta

import msgspec
import psutil

from shared.heartbeats import INTERVAL

UNSHARED_EVERY = timedelta(seconds=5)
"""Time between two looks at the memory that nobody shares: the kernel walks over all pages of a process for it."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Percent of one core since the measure before, resident memory, and of it what would be free without the tree.

    In bytes. Pages that a child shares with its parent count for each of them in `rss_bytes`, in none in `uss_bytes`.
    """

    cpu_percent: float | None = None
    rss_bytes: int | None = None
    uss_bytes: int | None = None


class Meter:
    """Measures a process and all that descend from it, each second, in a thread of its own: nobody waits for it."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._seconds: dict[psutil.Process, float] = {}
        self._at: float | None = None
        self._unshared_at = 0.0
        self.latest = Usage()

    def start(self) -> None:
        """Measure until the process ends."""
        threading.Thread(target=self._keep_measuring, name="meter", daemon=True).start()

    def _keep_measuring(self) -> None:
        pause = threading.Event()
        while True:
            self.measure()
            pause.wait(INTERVAL.total_seconds())

    def measure(self) -> Usage:
        """Return what the tree uses now; the first measure has no share of a processor."""
        tree = self._tree()
        now = time.monotonic()
        cpu = self._cpu_percent(tree, now)
        unshared = self.latest.uss_bytes
        if now >= self._unshared_at:
            unshared = sum(_unshared(each) for each in tree)
            self._unshared_at = now + UNSHARED_EVERY.total_seconds()
        self.latest = Usage(cpu_percent=cpu, rss_bytes=sum(_resident(each) for each in tree), uss_bytes=unshared)
        return self.latest

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:  # a child ended while its own children were asked for: the next measure has the rest
            return [self._root]

    def _cpu_percent(self, tree: list[psutil.Process], now: float) -> float | None:
        """Return the share since the measure before; a process that is new has done all it did since then."""
        before, self._seconds = self._seconds, {each: _seconds(each) for each in tree}
        began, self._at = self._at, now
        if began is None or now <= began:
            return None
        spent = sum(max(0.0, seconds - before.get(each, 0.0)) for each, seconds in self._seconds.items())
        return round(100 * spent / (now - began), 1)


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _unshared(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0
