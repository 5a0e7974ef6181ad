"""`python -m gptlib.exercises.checks NAME`: hold gptlib.NAME against its checks; the last line says what fails."""

import importlib
import sys

from gptlib.exercises.checks import checks_of


def main() -> int:
    (name,) = sys.argv[1:]
    try:
        module = importlib.import_module(f"gptlib.{name}")
    except Exception as error:
        print(f"importing it gave {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return 1
    for definition, check in checks_of(name).items():
        try:
            check(getattr(module, definition))
        except Exception as error:
            print(f"{definition}: {' '.join(str(error).split())[:300] or type(error).__name__}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
