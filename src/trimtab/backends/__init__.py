"""Ports made real: memory, SQLite, disk, object store, subprocess, webhook.

Belongs here: one module per technology, each an adapter of a Protocol in `ports` that passes the
same contract suite as its in-memory twin. An optional engine is imported in its adapter alone.

Does not belong here: decisions, defaults that a user may set, or knowledge of another adapter.
Only `trimtab.app` chooses among them.
"""
