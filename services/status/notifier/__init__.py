"""The notifier: tells webhooks and people of what is published, and keeps a record of each try."""

NOTIFIER = "status.notifier"
"""Its name among the parts of the system, and in traces."""

GROUP = "blotter.notifier"
"""Its consumer group."""
