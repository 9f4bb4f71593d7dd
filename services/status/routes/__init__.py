"""The query API, one resource a file."""
