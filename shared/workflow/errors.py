"""The errors that a step raises, or meets, to say whether a retry may help.

::

    TemporaryError          (defined in `shared.errors`, as PermanentError is)
    └── StepTimeout         the step took longer than its own `timeout`
    PermanentError
"""

from shared.errors import PermanentError, TemporaryError

__all__ = ["PermanentError", "StepTimeout", "TemporaryError"]


class StepTimeout(TemporaryError):
    """A step took longer than its own `timeout`; it is tried again like any other timeout."""
