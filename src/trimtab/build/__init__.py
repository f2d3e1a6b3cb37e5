"""Making releases: from a model, its features and its data to an immutable, verified release.

Belongs here: signature inference, reference profile and golden set, environment locks, packing into
content-addressed blobs, the cached and resumable pipeline, reproduction and verification.

Does not belong here: serving, rollout decisions, or importing a model library: a model is loaded in
its own environment by `worker`.
"""
