"""`python -m trimtab.cli`: the `trimtab` command where it is not on the path."""

from trimtab.cli.group import main

if __name__ == "__main__":
    main()
