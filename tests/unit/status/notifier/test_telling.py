"""Whom an event concerns, how a delivery is signed, and what people read."""

import json
from uuid import uuid4

from standardwebhooks import Webhook as Receiver

from services.status.notifier.audience import CHANNEL, Audience, Belonging
from services.status.notifier.listening import body_of as delivered
from services.status.notifier.messages import body_of, title_of
from services.status.notifier.signing import signed_headers
from shared.domain.notification_events import Channel, PreferencesChanged
from shared.domain.webhook_events import Scope
from tests.builders import stamp
from tests.webhook_builders import SECRET, preferences, published, webhook


def person(user: str, *schemes: str) -> PreferencesChanged:
    """Somebody with channels of these schemes, who is told of the default."""
    channels = tuple(Channel(channel_id=uuid4(), url="sealed", scheme=scheme) for scheme in schemes)
    return preferences(user, channels=channels)


def test_an_event_concerns_the_webhooks_and_channels_that_ask_for_it() -> None:
    """Its owner's, and those of who sees everything."""
    mine, others, everything = webhook(user="ann"), webhook(user="bob"), webhook(user="root", scope=Scope.ALL)
    ann = person("ann", "slack", "mailto")
    hooks = tuple((0, each.state) for each in (mine, others, everything))
    audience = Audience(position=9, webhooks=hooks, people=(ann, person("bob", "slack")))
    told = list(audience.recipients(published(position=5), "ann"))
    assert [each.target_id for each in told] == [
        *(mine.state.webhook_id, everything.state.webhook_id),
        *(channel.channel_id for channel in ann.channels),
    ]
    assert [each.kind for each in told][2:] == [CHANNEL, CHANNEL]


def test_a_webhook_is_not_told_of_what_came_before_it() -> None:
    """However late the event is looked at."""
    hook = webhook()
    audience = Audience(position=9, webhooks=((7, hook.state),))
    assert list(audience.recipients(published(position=6), "ann")) == []
    assert len(list(audience.recipients(published(position=8), "ann"))) == 1


def test_a_test_is_delivered_to_its_own_webhook_whatever_the_types() -> None:
    """Also to one that is disabled, whose delivery then says so."""
    hook, other = webhook(), webhook(scope=Scope.ALL)
    audience = Audience(position=9, webhooks=((0, hook.state), (0, other.state)))
    event = published("webhook.tested", subject=str(hook.state.webhook_id))
    assert [each.target_id for each in audience.recipients(event, None)] == [hook.state.webhook_id]


def test_what_nobody_asks_for_is_passed_over_without_a_look_at_the_tables() -> None:
    """Most events are."""
    audience = Audience(webhooks=((0, webhook(types=("alert.*",)).state),), people=(person("ann", "slack"),))
    asked = ("alert.raised", "execution.failed", "webhook.tested")
    assert all(audience.may_want(topic) for topic in asked)
    assert not any(audience.may_want(topic) for topic in ("execution.step_completed", "schedule.fired"))


def test_the_same_event_is_the_same_delivery_whenever_it_comes() -> None:
    """So that what is published again is not delivered again."""
    hook = webhook()
    audience = Audience(webhooks=((0, hook.state),))
    first, again = (next(iter(audience.recipients(published(subject="a"), "ann"))) for _ in range(2))
    assert first.delivery_id("a:1") == again.delivery_id("a:1") != first.delivery_id("a:2")


def test_a_delivery_verifies_with_each_of_the_secrets() -> None:
    """By the library of the specification."""
    other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD9sWnpzGZ2zA="
    now = stamp(0).at.now(tz=stamp(0).at.tzinfo)
    headers = signed_headers("a:1", '{"a": 1}', at=now, secrets=[SECRET, other])
    for secret in (SECRET, other):
        assert Receiver(secret).verify('{"a": 1}', headers) == {"a": 1}


def test_what_is_delivered_is_the_event_and_whose_it_is() -> None:
    """As extension attributes; none for what belongs to nobody."""
    event = published()
    assert json.loads(delivered(event, Belonging("ann", "sma"))) == event | {"userid": "ann", "strategyid": "sma"}
    assert json.loads(delivered(event, Belonging())) == event


def test_people_read_what_happened_to_what_and_why() -> None:
    """A title and a fact a line."""
    event = published(position=7, subject="5b0f") | {"userid": "ann", "strategyid": "sma-crossover"}
    assert title_of(event) == "Blotter: Task failed: sma-crossover"
    assert body_of(event).splitlines()[:3] == ["Error: ValueError: no bars", "Step: bars", "Symbol: AAPL"]
    assert "Subject: 5b0f" in body_of(event)
    assert title_of(published("queue.paused")) == "Blotter: Queue paused"
