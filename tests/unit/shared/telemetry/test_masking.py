"""What must not be seen is not, in text of any kind, and the rest stays as it was."""

import json

import pytest

from shared.telemetry.masking import MASK, Masker, secrets_of

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"postgresql://ann:{SECRET}@db:5432/blotter", "postgresql://ann:***@db:5432/blotter"),
        (f"redis://:{SECRET}@127.0.0.1:6379/0 is away", "redis://:***@127.0.0.1:6379/0 is away"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f"sent Bearer {SECRET} to it", "sent Bearer *** to it"),
        (f"password={SECRET} user=ann", "password=*** user=ann"),
        (f"api_key: {SECRET}, next", "api_key: ***, next"),
        (f"APCA-API-SECRET-KEY={SECRET}", "APCA-API-SECRET-KEY=***"),
        (f"{{'client_secret': '{SECRET}', 'n': 1}}", "{'client_secret': '***', 'n': 1}"),
        ("http://host:8000/path?mail=a@b", "http://host:8000/path?mail=a@b"),
        *((plain, plain) for plain in ("basic strategies, the bearer of news", "idempotency_key=abc key=5")),
    ],
)
def test_text_is_masked_by_the_names_in_it(text: str, masked: str) -> None:
    """And only there."""
    assert Masker()(text) == masked


@pytest.mark.parametrize("value", [SECRET, f'with "quotes" {SECRET}', 12345678, None, True, ["a", "b"], {"n": 1}])
def test_json_stays_json(value: object) -> None:
    """Also within a text that holds JSON itself; what is masked is the value, whatever its type."""
    inner = {"access_token": value, "n": 1}
    outer = {"fields": inner, "event": f"got {json.dumps(inner)}", "at": "now"}
    found = json.loads(Masker()(json.dumps(outer)))
    assert found["at"] == "now"
    assert found["fields"]["n"] == 1
    assert SECRET not in json.dumps(found)
    if not isinstance(value, list | dict):
        assert found["fields"]["access_token"] == MASK


def test_secrets_of_the_settings_are_known_by_themselves() -> None:
    """Passwords of URLs, keys of callers, headers of a collector; short ones and user names are not."""
    found = secrets_of(
        {
            "DATABASE_URL": f"postgresql://blotter:{SECRET}%2Fx@db/blotter",
            "REDIS_URL": "redis://postgres:postgres@redis/0",
            "BLOTTER_API_KEYS": "ann:trader:ann-key-123456,bob:viewer:bob-key-123456",
            "BLOTTER_ALPACA_SECRET_KEY": "alpaca-secret-1",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-token=collector-token=",
            "PASSWORD": "short",
            "BLOTTER_HOME": "/home/blotter",
        }
    )
    assert {f"{SECRET}/x", "ann-key-123456", "bob-key-123456", "alpaca-secret-1", "collector-token="} <= found
    assert not {"postgres", "short", "/home/blotter", "trader"} & found
    assert Masker(found)("it said ann-key-123456 and alpaca-secret-1") == "it said *** and ***"


def test_secrets_of_parameters_are_learned() -> None:
    """By their names, however deep, and then known wherever they stand."""
    masker = Masker()
    masker.learn({"fast": 10, "feed": {"api_key": SECRET, "urls": ["plain-value-1"]}, "tokens": ["token-one-1"]})
    assert masker(f"using {SECRET} and token-one-1 at plain-value-1") == "using *** and *** at plain-value-1"
