"""Signals: what is watched of a release, one family a file. Pure.

A family counts rows into blocks, takes labels to them, judges each block once it is closed, and
says verdicts. It implements `family.Family`, keeps all that changes in its `state`, and is listed
in `registry.FAMILIES`; its groups of signals have their tier and their share of the alarm budget in
`judge.budget.GROUPS`, and their kind of incident in `judge.incidents.KINDS`.

Belongs here: what a block's counts are, and what they are compared with.

Does not belong here: evidence (`judge.watch`, `stats`), what verdicts mean together
(`judge.incidents`, `judge.diagnose`), and who counts: counts merge exactly, in any order, so that
one worker and eight give the same bits.
"""
