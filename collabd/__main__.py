"""``python -m collabd``."""

import sys

from collabd.cli import main

sys.exit(main())
