"""One read model per screen: CLI table, JSON, HTML page and notebook render the same dataclass.

Belongs here: frozen, serialisable shapes with unit suffixes, the pure functions that fill them from
domain nouns and judgements, and drawings of a shape that more than one face needs (terminal text,
SVG, JSON). Fields are added, never renamed.

Does not belong here: input and output, pages (`web`), verbs (`cli`), or a rule that changes what
happens.
"""
