"""Revisions in order.

Each has a number as its revision id. A released revision is never edited: a mistake is corrected
by the next one.
"""
