"""One video, one message per stage while it is analysed, the verdict last (gRPC only).

python examples/python_stream.py clip.mp4 [localhost:8001]
"""

import sys

from veracity_client import Detector, Options, Verdict


def main(clip: str, url: str = "localhost:8001") -> None:
    """Print what happens as it happens."""
    with Detector(url) as detector:
        for event in detector.stages(clip, Options(policy="exhaustive")):
            if isinstance(event, Verdict):
                print(f"verdict: {event.label}, P(fake) {event.fake_probability}")
            else:
                print(f"{event.seconds:6.2f} s  {event.stage} {event.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
