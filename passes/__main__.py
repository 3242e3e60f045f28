"""`python -m passes` is the command line."""

import sys

from passes.cli import main

sys.exit(main())
