"""Decisions: readings to verdict, verdicts to cause, cause to action. Pure.

Belongs here: the rules that weigh evidence against tolerances and the alarm budget, the diagnosis,
rollout transitions and retraining triggers, as functions of their arguments.

Does not belong here: input or output, clocks, randomness, logging, or mathematics that does not
know what it judges (`stats`). Time and randomness are arguments.
"""
