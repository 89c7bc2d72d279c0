"""The command `macsgr`: from a release or a recording to features, networks, predictions and pages."""

import runpy
import sys

# Command -> script and what it does; the scripts are also `python -m macsgr_jax.cli.NAME`.
COMMANDS = {
    "import": ("import_corpus", "turn a release of a corpus, or a pickle of the field, into a corpus file"),
    "train": ("train", "train and evaluate on a corpus file"),
    "evaluate": ("evaluate", "evaluate the checkpoints of a run again"),
    "sweep": ("sweep", "train many settings and seeds at once"),
    "predict": ("predict", "name the emotions of a conversation of your own"),
    "view": ("view", "make a page of predictions"),
    "export": ("export", "write a network as StableHLO, to use without this package"),
}


def main() -> None:
    """Hand the command line to one of the scripts."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if asked in ("-h", "--help"):
        print("usage: macsgr COMMAND ...\n\n" + "\n".join(f"  {name:10}{text}" for name, (_, text) in COMMANDS.items()))
        print("\n`macsgr COMMAND --help` tells the rest.")
        return
    if asked not in COMMANDS:
        print(f"error: macsgr has no command {asked!r}: there are {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    name = f"macsgr_jax.cli.{COMMANDS[asked][0]}"
    sys.argv[:2] = [name]
    runpy.run_module(name, run_name="__main__")


if __name__ == "__main__":
    main()
