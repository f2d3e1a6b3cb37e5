"""Mathematics of evidence: what the numbers say, and how surely.

Belongs here: e-detectors, e-processes, confidence bounds and sequences, distances between
distributions, sketches, burn rates. One method a file, each with its theory, units, an exact
example and its source. Block statistics merge exactly, so that many processes count and one judges;
every monitor is saved with ``to_dict`` and resumes bit for bit with ``from_dict``.

May not be here: randomness, clocks, input or output, names of the domain (release, deployment), or
any import beyond the standard library's mathematics and numpy. Wrong arguments raise
``ValueError``.
"""
