"""``python -m everykernel`` is the ``everykernel`` command."""

from everykernel.cli import main

main()
