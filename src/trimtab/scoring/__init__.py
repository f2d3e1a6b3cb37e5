"""Scoring a table through the batch lane: every row once, in order, over a crash.

Belongs here: reading a table in chunks, checking that it fits the deployment, sending its rows as a
client at the pace the server allows, and keeping finished chunks until the result is whole.

Does not belong here: a protocol of its own (it uses `trimtab.client`), or how a screen shows it.
"""
