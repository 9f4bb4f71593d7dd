"""A process that follows the log: one thread a follower, until it is told to stop."""

import signal
import threading
from collections.abc import Sequence
from types import FrameType

from shared.log.follower import Follower


def run_followers(followers: Sequence[Follower]) -> None:
    """Run until SIGTERM or SIGINT, then let each follower finish its batch. Call it from the main thread."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    threads = [threading.Thread(target=follower.run, args=(stop,)) for follower in followers]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()
