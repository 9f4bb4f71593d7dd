"""The commands of `blotter`, a noun a file."""
