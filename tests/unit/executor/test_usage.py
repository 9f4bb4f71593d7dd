"""What a process tree uses of its machine."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from services.executor.usage import Meter
from tests.waiting import until

BUSY = "import sys; print(flush=True)\nwhile True: pass"


def test_children_count_with_their_parent() -> None:
    """A child that computes is seen in the share of a processor, and in both kinds of memory."""
    meter = Meter(psutil.Process())
    alone = meter.measure()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both = meter.measure()
        until(lambda: (meter.measure().cpu_percent or 0) > 0, seconds=10, hint="the busy child is not seen")
        child.kill()
    assert alone.cpu_percent is None
    assert (both.rss_bytes or 0) > (alone.rss_bytes or 0) > 0
    assert (both.uss_bytes or 0) > 0


def test_a_tree_that_ends_while_it_is_measured_fails_nothing() -> None:
    """What is gone uses nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        meter = Meter(psutil.Process(child.pid))
    began = time.monotonic()
    assert meter.measure().rss_bytes == 0
    assert time.monotonic() - began < 1
