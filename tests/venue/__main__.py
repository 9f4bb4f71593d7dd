"""`python -m tests.venue --port 9000`: the venue as a process of its own, until SIGTERM or Ctrl-C."""

import argparse

from tests.venue.server import KEY, listening, server_of


def main() -> None:
    """Serve, after printing the address on a line of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    listener = listening(arguments.port)
    port = listener.getsockname()[1]
    print(f"venue at http://127.0.0.1:{port} with key {KEY.key_id} and secret {KEY.secret}", flush=True)
    server_of().run(sockets=[listener])


if __name__ == "__main__":
    main()
