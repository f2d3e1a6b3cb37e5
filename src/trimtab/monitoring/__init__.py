"""The judgement of the served loop on a user's own data, without a server: `trimtab.monitor(...)`.

Belongs here: opening tables of any kind as Arrow batches, counting them into blocks with flat
memory, and handing the counts to the monitors of `judge`.

Does not belong here: a test, a threshold or a cause of its own (`judge` and `stats` hold them), or
how a report looks (`views`).
"""
