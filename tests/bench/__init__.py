"""Measurements: figures for people, not bounds for tests."""
