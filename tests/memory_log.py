"""The event log in memory, for tests without I/O; `tests/contract/test_event_logs.py` holds it to the real one."""

from eventsourcing.application import Application

from shared.log.event_log import MAPPER_TOPIC, EventLog


class MemoryEventLog(EventLog):
    """An `EventLog` on the library's recorder for plain old Python objects."""

    def __init__(self) -> None:
        Application.__init__(self, {"PERSISTENCE_MODULE": "eventsourcing.popo", "MAPPER_TOPIC": MAPPER_TOPIC})
