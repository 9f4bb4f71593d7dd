"""The errors that a step raises to say whether a retry may help (defined in `shared.errors`)."""

from shared.errors import PermanentError, TemporaryError

__all__ = ["PermanentError", "TemporaryError"]
