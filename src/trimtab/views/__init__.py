"""One read model per screen: CLI table, JSON, HTML page and notebook render the same dataclass.

Belongs here: frozen, serialisable shapes with unit suffixes, and the functions that fill them from
domain nouns and ports. Fields are added, never renamed.

Does not belong here: rendering (`cli`, `web`), writing, or a rule that changes what happens.
"""
