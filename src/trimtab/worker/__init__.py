"""What runs inside a release's own environment: load, replay the golden set, answer, end.

Belongs here: the shim that speaks the frame protocol and the loader of each model format, written
against the standard library; numpy and a model library are imported in the loader that needs them.

Does not belong here: any other part of trimtab, or any dependency of it, for none of them is
installed where this code runs.
"""
