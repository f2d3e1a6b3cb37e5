"""The control loop: observe, judge, decide, journal, act, and observe again.

Belongs here: the level-triggered reconciler, the rollout and retraining controllers that drive it,
leader fencing, and the outbox that turns journalled decisions into idempotent effects.

Does not belong here: statistics or thresholds (`judge`), storage engines or processes (`backends`),
anything on a request's path (`gateway`), and direct use of the wall clock: time comes from a port.
"""
