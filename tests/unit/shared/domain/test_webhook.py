"""The webhook's life, without I/O."""

from datetime import timedelta

import pytest

from shared.domain.event_types import canonical, covers, is_known
from shared.domain.notification_events import Channel, preferences_id
from shared.domain.webhook import FORMER_SECRET_LASTS, Webhook, WebhookState, fold
from shared.domain.webhook_events import Scope, Target
from tests.builders import stamp
from tests.webhook_builders import preferences, webhook


def refolded(hook: Webhook) -> WebhookState | None:
    """The state that its events leave."""
    return fold(None, hook.collect_events())


def test_what_is_decided_is_what_its_events_tell() -> None:
    """Each command, then the fold of all events from the beginning."""
    hook = webhook()
    hook.change(stamp(1), types=("alert.*",))
    hook.disable(stamp(2), reason="enough")
    hook.enable(stamp(3))
    hook.rotate(stamp(4), "sealed")
    hook.test(stamp(5))
    hook.delete(stamp(6))
    assert refolded(hook) == hook.state
    assert (hook.state.version, hook.state.changed_at) == (7, stamp(6).at)


def test_asking_again_changes_nothing() -> None:
    """Enabling what is enabled, the same types, deleting twice."""
    hook = webhook()
    hook.collect_events()
    hook.enable(stamp(1))
    hook.change(stamp(1), types=hook.state.types)
    assert hook.collect_events() == []
    hook.delete(stamp(2))
    hook.delete(stamp(3))
    hook.disable(stamp(4))
    assert len(hook.collect_events()) == 1


def test_for_a_day_both_secrets_sign() -> None:
    """The new one first."""
    hook = webhook()
    former = hook.state.secret
    hook.rotate(stamp(0), "new")
    ends = stamp(0).at + FORMER_SECRET_LASTS
    assert hook.state.secrets_at(ends - timedelta(seconds=1)) == ("new", former)
    assert hook.state.secrets_at(ends) == ("new",)


@pytest.mark.parametrize(
    ("scope", "owner", "told"),
    [
        (Scope.OWN, "ann", True),
        (Scope.OWN, "bob", False),
        (Scope.OWN, None, False),
        (Scope.ALL, "bob", True),
        (Scope.ALL, None, True),
    ],
)
def test_a_webhook_is_told_of_what_belongs_to_its_user_or_of_everything(
    scope: Scope, owner: str | None, told: bool
) -> None:
    """What belongs to nobody is for those who see everything."""
    assert webhook(user="ann", scope=scope).state.wants("execution.failed", owner) is told


def test_one_that_is_disabled_or_deleted_is_told_of_nothing() -> None:
    """Until it is enabled."""
    hook = webhook()
    hook.disable(stamp(1))
    assert not hook.state.wants("execution.failed", "ann")
    hook.enable(stamp(2))
    assert hook.state.wants("execution.failed", "ann")
    hook.delete(stamp(3))
    assert not hook.state.wants("execution.failed", "ann")


def test_a_new_address_is_taken_with_the_old_types() -> None:
    """Only what is given changes."""
    hook = webhook(types=("*",))
    hook.change(stamp(1), target=Target(url="sealed", host="example.org"))
    assert (hook.state.target.host, hook.state.types) == ("example.org", ("*",))


def test_types_are_topics_families_or_everything() -> None:
    """`task` is what people call an execution."""
    assert [canonical(each) for each in ("task.failed", "task.*", "alert.*", "*")] == [
        *("execution.failed", "execution.*", "alert.*", "*")
    ]
    assert covers(("execution.*",), "execution.failed")
    assert covers(("*",), "worker.drain_requested")
    assert not covers(("execution.failed", "exec.*"), "execution.succeeded")
    topics = ("execution.failed", "alert.raised")
    assert [is_known(each, topics) for each in ("execution.failed", "alert.*", "*", "alert.failed", "tasks.*")] == [
        *(True, True, True, False, False)
    ]


def test_by_default_people_are_told_of_their_own_failures_and_admins_of_alerts_too() -> None:
    """Nobody of what others do."""
    told = [
        preferences(admin=admin).wants(topic, owner)
        for admin in (False, True)
        for topic, owner in (
            ("execution.failed", "ann"),
            ("execution.failed", "bob"),
            ("execution.succeeded", "ann"),
            ("alert.raised", None),
        )
    ]
    assert told == [True, False, False, False, True, False, False, True]


def test_who_wants_to_be_told_of_everybodys_tasks_must_be_an_admin() -> None:
    """A scope that somebody had as an admin does nothing for one who was none."""
    assert preferences(admin=True, scope=Scope.ALL).wants("execution.failed", "bob")
    assert not preferences(admin=False, scope=Scope.ALL).wants("execution.failed", "bob")


def test_who_asks_for_nothing_is_told_of_nothing() -> None:
    """An empty list is not the default."""
    channel = Channel(channel_id=preferences_id("x"), url="sealed", scheme="slack")
    assert not preferences(types=(), channels=(channel,)).wants("execution.failed", "ann")
