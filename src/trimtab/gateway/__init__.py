"""The request path: parse, route, queue, batch, shed, log and count.

Belongs here: the inference listener and its protocols, admission control, the bounded queue of each
(release, lane), dispatch to workers, the retry of a canary's failure on stable, and the meter, for
outcomes are counted where requests pass. Routes come from the last snapshot on disk, so that
clients never notice the control plane going away.

Does not belong here: the database, judgement, model libraries, or a decision about weights.
"""
