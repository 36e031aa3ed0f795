"""One video, one verdict, and what each layer contributed.

python examples/python_sync.py clip.mp4 [localhost:8001]
"""

import sys

from veracity_client import Detector, Options, VeracityError


def main(clip: str, url: str = "localhost:8001") -> int:
    """Print the verdict and one line per layer; return the exit code."""
    with Detector(url) as detector:
        try:
            verdict = detector.analyze(clip, Options(policy="exhaustive"))
        except VeracityError as error:  # one class for every refusal: BadVideo, Overloaded, ModelUnavailable, ...
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    print(f"{verdict.label}  P(fake) {verdict.fake_probability}")
    print(verdict.reasoning)
    for name, result in verdict.layer_results.items():
        print(f"  {name:12} {result.status:10} P(fake) {result.fake_probability}  {result.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
