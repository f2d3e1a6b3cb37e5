"""The nouns of trimtab and their transitions, frozen and pure.

Belongs here: releases, signatures, deployments, rollouts, routing, verdicts, incidents, journal
events and the fold that turns events into state. May not be here: I/O, clocks, randomness,
logging, asyncio, numpy-heavy mathematics (that is `stats`) or decisions (that is `judge`).
"""
