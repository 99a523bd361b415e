"""`python -m tests.chaos`, what `make chaos` calls."""

import asyncio
import sys

from tests.chaos.plan import parse
from tests.chaos.run import chaos

if __name__ == "__main__":
    options = parse()
    print(f"{options.seconds:g} seconds of chaos, then up to some minutes until all is settled …", file=sys.stderr)
    report = asyncio.run(chaos(options))
    print(report)
    sys.exit(0 if report.kept else 1)
