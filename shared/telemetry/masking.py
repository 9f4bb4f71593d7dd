"""What is neither shown nor kept: passwords in URLs, authorizations, and values of secrets, by name and by themselves.

A secret is known by itself when it is the value of a setting whose name says so (`..._SECRET`, `..._KEY`, `..._TOKEN`,
`..._PASSWORD`), the password of a URL among the settings, or a parameter of a task of such a name. Of fewer than eight
characters it is known by its name alone: its letters would be found in innocent words.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST = 8
MOST_LEARNED = 1_000
"""Secrets of parameters that a process remembers; beyond it the first ones are known by their names alone."""

_NAMES = "passw(?:or)?d|passwd|secret|token|authorization|credential|(?:api|private|access)[_-]?keys?|key[_-]id"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_STEMS = ("passw", "secret", "token", "authorization", "credential", "key")
"""Without one of them a text holds no such name."""
_SECRET_SETTING = re.compile(rf"{_NAMES}|_KEYS?$|HEADERS$", re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)([^\s/@:\"'\\]*):([^\s/@\"'\\]+)@")
_BEARER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=:-]{8,}")
_NAMED = re.compile(
    rf"""((?:\\*["'])?[\w.-]{{0,40}}(?:{_NAMES})[\w.-]{{0,40}}(\\*["'])?\s*[:=]\s*)"""
    r"""("(?:[^"\\]|\\.)*"|(\\+)".*?(?<!\\)\4"|'[^']*'|(?:(?:Bearer|Basic)\s+)?(?![{\[\\])[^\s,;&}\])"'\\]+)""",
    re.IGNORECASE,
)
"""A name, the marks that end it, and a value: quoted, quoted within a quoted text (by as many backslashes), or bare."""


class Masker:
    """Takes secrets out of text: out of a line of JSON so that it stays JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._learned: dict[str, None] = {}
        self._fixed = frozenset(each for each in secrets if len(each) >= SHORTEST)
        self._compile()

    def __call__(self, text: str) -> str:
        """Return `text` without what it must not show.

        Almost every text is innocent, and found so by plain searches: the patterns cost ten times as much.
        """
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        if "://" in text:
            text = _URL.sub(rf"\1\2:{MASK}@", text)
        lower = text.lower()
        if any(stem in lower for stem in _STEMS):
            text = _NAMED.sub(_masked_value, text)
        if "Bearer " in text or "Basic " in text:
            text = _BEARER.sub(rf"\1 {MASK}", text)
        return text

    def learn(self, document: Mapping[str, Any]) -> None:
        """Remember the values in a JSON object whose names say that they are secret, such as a task's parameters."""
        found = {value for value in _secret_values(document) if len(value) >= SHORTEST} - self._learned.keys()
        if not found:
            return
        self._learned.update(dict.fromkeys(found))
        for oldest in list(self._learned)[: max(0, len(self._learned) - MOST_LEARNED)]:
            del self._learned[oldest]
        self._compile()

    def _compile(self) -> None:
        forms = {form for secret in (*self._fixed, *self._learned) for form in _forms(secret)}
        # The longest first: one may be a part of another.
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=1)
def masker() -> Masker:
    """Return this process's masker, which knows the secrets among its settings."""
    return Masker(secrets_of(os.environ))


def secrets_of(settings: Mapping[str, str]) -> set[str]:
    """Return the values in an environment that must not be seen."""
    found: set[str] = set()
    for name, value in settings.items():
        for scheme_user_password in _URL.finditer(value):
            _, user, password = scheme_user_password.groups()
            if password != user:
                found |= {password, unquote(password)}
        if _SECRET_SETTING.search(name):
            # BLOTTER_API_KEYS is user:role:key,... and OTEL_EXPORTER_OTLP_HEADERS is name=value,...
            parts = [part.strip() for part in value.split(",")]
            found |= {value, *parts, *(part.split(":", 2)[-1] for part in parts)}
            found |= {part.partition("=")[2] for part in parts}
    return {each for each in found if len(each) >= SHORTEST}


def _secret_values(value: Any, *, named: bool = False) -> Iterator[str]:
    match value:
        case str() if named:
            yield value
        case Mapping():
            for name, each in value.items():
                yield from _secret_values(each, named=named or bool(_SECRET_NAME.search(str(name))))
        case list() | tuple():
            for each in value:
                yield from _secret_values(each, named=named)


def _forms(secret: str) -> set[str]:
    """Return how a secret is written in text, in JSON and in a URL."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}


def _masked_value(found: re.Match[str]) -> str:
    name, end_of_name, value, slashes = found.groups()
    if slashes:
        marks = f'{slashes}"'
    elif value[0] in "\"'":
        marks = value[0]
    else:  # a number or a word of JSON: what takes its place must be JSON too
        marks = end_of_name or ""
    return f"{name}{marks}{MASK}{marks}"
