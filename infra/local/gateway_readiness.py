"""What the gateway says about the readiness of the parts behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import msgspec

from infra.local.ports import LOOPBACK

_ANSWER_WITHIN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """`waiting` are the parts that are not up, with what each says; none if the gateway itself does not answer."""

    ready: bool
    waiting: dict[str, str] = field(default_factory=dict)


class _Part(msgspec.Struct):
    up: bool
    detail: str | None = None


class _Answer(msgspec.Struct):
    status: str
    parts: dict[str, _Part]


def ask(port: int) -> Readiness:
    """Ask `GET /health/ready` of the gateway on a port of this machine.

    Its 200 means that it accepts tasks; ready here means more: every part is up.
    """
    try:
        response = httpx.get(f"http://{LOOPBACK}:{port}/health/ready", timeout=_ANSWER_WITHIN_SECONDS, trust_env=False)
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (httpx.HTTPError, msgspec.MsgspecError):
        return Readiness(ready=False)
    waiting = {name: part.detail or "not up" for name, part in answer.parts.items() if not part.up}
    return Readiness(ready=answer.status == "ready", waiting=waiting)
