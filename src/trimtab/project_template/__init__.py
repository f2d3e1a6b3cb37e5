"""The project that `trimtab init` writes.

Belongs here: `files/`, copied as they are but for the name `my-model`, which becomes the user's.
They run as they are, on data that needs no network.

Does not belong here: anything that trimtab imports. The files belong to the user from then on.
"""
