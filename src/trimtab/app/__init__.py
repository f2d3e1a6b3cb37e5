"""The composition root: the only place that knows concrete backends, one module for each process.

Belongs here: putting a process together from machinery and backends, and nothing else. A module
imports the backends of its own process alone, so that none loads what only another one needs.

Does not belong here: decisions, formats, screens, or an import of all modules at once.
"""
