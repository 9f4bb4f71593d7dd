"""A tiny process that stands for a service; BLOTTER_PROCESS says which.

It notes its start and its stop in `<home>/notes`. `worker` has a child and a grandchild in its session, `stubborn`
ignores SIGTERM, `flighty` and `worker` exit with code 0 if they find the file `<home>/leave.<name>`
at their start (and remove it), `broken` exits with code 1, `gateway` answers
`/health/ready`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType

NAME = os.environ["BLOTTER_PROCESS"]
HOME = Path(os.environ["BLOTTER_HOME"])
GRANDCHILD = "import signal, subprocess, sys; signal.pause()"
CHILD = f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}]); signal.pause()"


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say that all is ready, unless the test has asked for the opposite."""
        answer = {"status": "ready", "parts": {"log": {"up": True}, "projector": {"up": True}}}
        if (HOME / "unready").exists():
            answer = {"status": "degraded", "parts": {"projector": {"up": False, "detail": "no position"}}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def note(word: str) -> None:
    """Append a line to the notes, in one write."""
    with (HOME / "notes").open("a") as notes:
        notes.write(f"{word} {NAME}\n")


def leave(number: int, frame: FrameType | None) -> None:
    """Note the request to stop and end."""
    note("stop")
    os._exit(0)


def main() -> None:
    """Run until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if NAME == "stubborn" else leave)
    note("start")
    if NAME in ("flighty", "worker") and (HOME / f"leave.{NAME}").exists():
        (HOME / f"leave.{NAME}").unlink()
        sys.exit(0)
    if NAME == "worker":
        subprocess.Popen([sys.executable, "-c", CHILD])
    if NAME == "gateway":
        server = HTTPServer(("127.0.0.1", int(os.environ["BLOTTER_PORT"])), _Ready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    if NAME == "broken":
        sys.exit("no strategy folder")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
