"""Who yields to whom while all processors are busy, in steps of niceness."""

CONTROLLER = 8
"""Reading the log yields to answering requests: it comes in bursts that would otherwise show in
their latency. It still gets a thirteenth of a processor against two others, and more than it
needs."""
JOB = 10
"""A training run yields to what is served meanwhile."""
BATCH = 10
"""So do workers of the batch lane: against one other process at work on their processor they get a
tenth of it."""
