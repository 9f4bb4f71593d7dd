"""Keys, roles and who may do what."""

from __future__ import annotations

import pytest

from services.gateway.credentials import LOCAL, Caller, Credentials, Role, Unauthenticated, parse_api_keys, require
from shared.domain.errors import Forbidden

SECRET = "s3cret-key:with=signs"


def test_keys_are_read_from_one_line() -> None:
    """Entries are separated by commas, a key may hold colons, and blanks around entries do not count."""
    keys = parse_api_keys(f" ada:trader:{SECRET} , vera@desk.eu:viewer:0123456789abcdef,")
    assert [key.caller for key in keys] == [
        Caller(user_id="ada", role=Role.TRADER),
        Caller(user_id="vera@desk.eu", role=Role.VIEWER),
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (SECRET, "no known role"),
        (f":trader:{SECRET}", "no usable user"),
        (f"a b:trader:{SECRET}", "no usable user"),
        (f"{'x' * 65}:trader:{SECRET}", "no usable user"),
        (f"ada:{SECRET}", "no known role"),
        (f"ada:Trader:{SECRET}", "no known role"),
        ("ada:trader:", "weak key"),
        ("ada:trader:0123456789abcde", "weak key"),
        ("ada:trader:0123456789abcdef ghi", "weak key"),
        ("ada:trader:0123456789abcd\u00e9f", "weak key"),
    ],
)
def test_a_bad_entry_is_named_by_its_number_and_not_shown(entry: str, words: str) -> None:
    """The sentence helps to find the entry, and holds no part of it."""
    with pytest.raises(ValueError, match=words) as refusal:
        parse_api_keys(f"bob:admin:0123456789abcdef,{entry}")
    assert "Entry 2" in str(refusal.value)
    assert not any(len(part) > 3 and part in str(refusal.value) for part in entry.split(":")[-1:])


def test_one_key_for_two_entries_is_refused() -> None:
    """A key says who calls, so it cannot say two things."""
    with pytest.raises(ValueError, match="same key twice"):
        parse_api_keys(f"ada:trader:{SECRET},bob:viewer:{SECRET}")


@pytest.mark.parametrize("header", [f"Bearer {SECRET}", f"bearer {SECRET}", f"BEARER  {SECRET} "])
def test_a_known_key_names_its_caller(header: str) -> None:
    """The scheme is matched without case (RFC 9110, section 11.1)."""
    credentials = Credentials(parse_api_keys(f"bob:viewer:0123456789abcdef,ada:trader:{SECRET}"))
    assert credentials.authenticate(header.encode()) == Caller(user_id="ada", role=Role.TRADER)


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", SECRET.encode(), f"Basic {SECRET}".encode(), b"Bearer \xff"]
)
def test_anything_else_is_refused(header: bytes | None) -> None:
    """No header, another scheme and an unknown key are all the same."""
    credentials = Credentials(parse_api_keys(f"ada:trader:{SECRET}"))
    with pytest.raises(Unauthenticated):
        credentials.authenticate(header)


def test_without_keys_everyone_is_the_local_admin() -> None:
    """Open mode has one user."""
    assert Credentials(()).open
    assert Credentials(()).authenticate(None) == LOCAL
    assert LOCAL.role is Role.ADMIN


@pytest.mark.parametrize("has", list(Role))
@pytest.mark.parametrize("needed", list(Role))
def test_each_role_may_do_what_those_before_it_may(has: Role, needed: Role) -> None:
    """Viewer, trader, admin: in this order."""
    order = list(Role)
    caller = Caller(user_id="ada", role=has)
    if order.index(has) >= order.index(needed):
        require(caller, needed)
    else:
        with pytest.raises(Forbidden, match=f"needs the role {needed}"):
            require(caller, needed)
