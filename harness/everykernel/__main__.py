"""``python -m everykernel`` is the ``everykernel`` command."""

import sys

from everykernel.cli import main

if __name__ == "__main__":
    sys.exit(main())
