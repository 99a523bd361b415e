"""`python -m sandbox`, what `make run` calls."""

import asyncio
import sys

from sandbox.options import parse
from sandbox.supervisor import supervise

if __name__ == "__main__":
    sys.exit(asyncio.run(supervise(parse())))
