"""Examples that ship with the package, one folder each: a data set and a user's project on it.

What belongs here is what a user could have written; nothing in the rest of the package knows any
example but the face that plays it. An example reads files it is given and downloads nothing.
"""
