"""The published events, for those who subscribe: names of the streams, what an entry holds, groups and handlers."""
