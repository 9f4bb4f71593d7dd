"""The version that is installed."""

from importlib.metadata import version

VERSION = version("blotter")
"""As `pyproject.toml` has it."""
