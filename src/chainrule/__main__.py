"""``python -m chainrule`` and the ``chainrule`` script."""

import sys

try:
    from .cli.app import main
except ModuleNotFoundError as error:
    if error.name not in ("typer", "rich"):
        raise

    def main(argv: list[str] | None = None) -> int:
        """Says how to get what the command needs."""
        print("chainrule: the command needs typer and rich: pip install 'chainrule[cli]'", file=sys.stderr)
        return 2


__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
