"""Protocols for the outside world; each has an in-memory twin and one contract suite.

Belongs here: the smallest interface that machinery needs of storage, processes, time and the
network, with each method's idempotency and errors in its docstring. May not be here: any
implementation (that is `backends`) or any decision (that is `judge`).
"""
