"""`python -m jnlp`: the command line, as the script `jnlp`."""

from jnlp.cli import main

if __name__ == "__main__":
    main()
