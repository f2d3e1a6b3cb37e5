"""The demonstration: a year of flights replayed against a running system, narrated as it happens.

Belongs here: the world (requests, labels and faults at their source), the acts that watch what the
system makes of it, and the narration. It is a client like any other: it speaks the two HTTP
listeners, and asks the rest of a `Stage`.

Does not belong here: judgement, knowledge of how the system decides, or an outcome written down
before it was observed.
"""
