"""Causes: what speaks for and against each, one small function a cause. Pure.

A cause looks at a `case.Trouble` (verdicts that are bad together, among all that were given, and
what is known of the surroundings) and says a `Suspicion` with its strength and evidence, a
`RuledOut` with the observation that excludes it, or None where nothing speaks for or against it.
It is listed in `registry.CAUSES`; `judge.diagnose` ranks what they say.

Belongs here: which observation makes which cause likelier. Comparisons are controlled where they
can be: the same inputs again, the same traffic at the same time on another worker, the same world
just before the last change.

Does not belong here: evidence (`judge.signals`, `judge.watch`), and what is done about a cause
(`judge.response`).
"""
