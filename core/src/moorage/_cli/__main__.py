"""Where the `moorage` command starts."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows the program's name; `None` takes it from `sys.argv`.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words == ["--version"]:
            # Answered here, since scripts ask for it often and it needs nothing at all.
            from .._version import __version__

            try:
                sys.stdout.write(f"moorage {__version__}\n")
                sys.stdout.flush()
                return 0
            except OSError:
                pass  # the long way reports it well
        from ._invocation import invoke

        return invoke(words)
    except KeyboardInterrupt:  # while the modules themselves were still being imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
