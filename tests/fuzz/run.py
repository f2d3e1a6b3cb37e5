"""One target under atheris, which looks for bytes that reach new code: `scripts/fuzz NAME`.

Arguments beyond the name are libFuzzer's; what it keeps is in a folder of the name below `.fuzz`.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trimtab", "hpack"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time is over or something is found."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    if target.words:  # a dictionary may not be empty
        words = corpus.with_suffix(".dict")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], str(corpus), *options], target.take)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
