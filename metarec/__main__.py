"""`python -m metarec`."""

from __future__ import annotations

import sys

from metarec.cli import main

sys.exit(main())
