"""Several videos at once with asyncio; the server batches what they have in common.

python examples/python_async.py clip.mp4 other.mp4 ... [--url localhost:8001]
"""

import argparse
import asyncio

from veracity_client import AsyncDetector, VeracityError

AT_ONCE = 4  # the server analyses four videos at a time; more would only wait in its queue


async def main(clips: list[str], url: str) -> None:
    """Print one line per clip, in the order given."""
    places = asyncio.Semaphore(AT_ONCE)
    async with AsyncDetector(url) as detector:

        async def analyze(clip: str) -> str:
            async with places:
                try:
                    verdict = await detector.analyze(clip)
                except VeracityError as error:  # one bad file does not end the others
                    return f"{clip}: {type(error).__name__}: {error}"
            return f"{clip}: {verdict.label}, P(fake) {verdict.fake_probability}"

        for line in await asyncio.gather(*map(analyze, clips)):
            print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--url", default="localhost:8001")
    args = parser.parse_args()
    asyncio.run(main(args.clips, args.url))
