"""Drift over a file by each product, as a program of its own: `python APP REFERENCE LIVE`.

Each prints one line of JSON: seconds from the first file opened to the result in hand, seconds of
its start (the interpreter and its import), peak of resident memory, and what it said.
"""
