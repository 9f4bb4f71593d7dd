"""The command line: `blotter`."""
