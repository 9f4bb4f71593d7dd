"""Sealing: what the log keeps and nobody reads there."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Unavailable
from shared.sealing import Sealer

KEY, OLD = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens_to_the_letter(text: str) -> None:
    """And does not show."""
    sealed = Sealer(KEY).seal(text)
    assert Sealer(KEY).open(sealed) == text
    assert len(text) < 4 or text not in sealed


def test_an_older_key_opens_what_it_has_sealed_while_the_newest_seals() -> None:
    """So a key is changed: put the new one before the old one."""
    sealed = Sealer(OLD).seal("word")
    both = Sealer(f"{KEY}, {OLD}")
    assert both.open(sealed) == "word"
    assert Sealer(KEY).open(both.seal("word")) == "word"


def test_another_key_is_refused_with_what_to_do() -> None:
    """Nothing of the secret is in the sentence."""
    with pytest.raises(Unavailable, match="BLOTTER_SECRETS_KEY"):
        Sealer(KEY).open(Sealer(OLD).seal("word"))


def test_without_a_key_nothing_is_sealed() -> None:
    """The sentence says how to make one."""
    with pytest.raises(Unavailable, match="generate_key"):
        Sealer("").seal("word")


def test_what_is_no_key_is_refused_at_once() -> None:
    """When the settings are read."""
    with pytest.raises(ValueError):
        Sealer("secret")
