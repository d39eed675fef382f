"""`python -m npsqueeze` is the command `npsqueeze`."""

import sys

from npsqueeze.cli import main

sys.exit(main())
