"""The verbs, one file each, every one with a `command`.

Belongs here: the arguments of a verb, the one call that it is for, and its exit code.

Does not belong here: imports of `trimtab.app` outside the function that calls it, for a verb that
only asks the running server must start at once.
"""
