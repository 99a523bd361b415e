"""Makes HTTP requests as fast as they are answered, so many at a time, in a process of its own.

Asked by a line of JSON on standard input: `urls`, taken in turn, `headers`, `body` (a text in which `{n}` is the number
of the request), `count`, `at_a_time`, `most` (seconds after which no request begins; null: there is no such limit).
Answers with one: `wall` in seconds, `statuses`, `seconds` of each request.
"""

import asyncio
import json
import math
import sys
import time
from collections import Counter
from itertools import cycle

import aiohttp


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    numbers = iter(zip(range(asked["count"]), cycle(asked["urls"]), strict=False))
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=asked["headers"]) as session:
        end = time.perf_counter() + (asked["most"] or math.inf)

        async def one_after_the_other() -> None:
            for number, url in numbers:
                began = time.perf_counter()
                if began > end:
                    return
                async with session.post(url, data=asked["body"].replace("{n}", str(number))) as answer:
                    await answer.read()
                seconds.append(time.perf_counter() - began)
                statuses[answer.status] += 1

        began = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(asked["at_a_time"])))
        wall = time.perf_counter() - began
    print(json.dumps({"wall": wall, "statuses": statuses, "seconds": sorted(seconds)}))


asyncio.run(main())
