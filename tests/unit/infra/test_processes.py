"""The process table."""

from __future__ import annotations

from importlib.util import find_spec

from infra.local.processes import SERVICES


def test_every_process_is_a_module_that_can_be_run() -> None:
    """A renamed module would otherwise be found out by a stack that never becomes ready."""
    for service in SERVICES:
        spec = find_spec(service.module)
        assert spec is not None, service.module
        if spec.submodule_search_locations is not None:
            assert find_spec(f"{service.module}.__main__") is not None, service.module


def test_the_gateway_is_the_first_to_stop_and_the_status_service_outlives_the_workers() -> None:
    """No request is accepted while the parts behind it leave; what workers do last is still projected."""
    stops = [service.name for service in reversed(SERVICES)]
    behind = ["status", "alerter", "notifier", "relay", "projector"]
    assert stops == ["gateway", "scheduler", "dispatcher", "worker", *behind]
