"""Every video of a folder, four at a time, into a CSV with one row per file.

python examples/folder_to_csv.py FOLDER [--out verdicts.csv] [--url localhost:8001]
"""

import argparse
import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from veracity_client import Detector, VeracityError

AT_ONCE = 4  # the server analyses four videos at a time
LAYERS = ("1_audio", "2_visual", "3_lipsync", "4_semantic")
COLUMNS = ("file", "label", "fake_probability", "confidence", *LAYERS, "reasoning", "error")


def row(detector: Detector, path: Path) -> dict[str, object]:
    """Analyse one file; an error of this file is a value of its row."""
    try:
        verdict = detector.analyze(path)
    except VeracityError as error:
        return {"file": path.name, "error": f"{type(error).__name__}: {error}"}
    layers = {name: verdict.layer_results[name].fake_probability for name in LAYERS}
    return {
        "file": path.name,
        "label": verdict.label,
        "fake_probability": verdict.fake_probability,
        "confidence": verdict.confidence,
        **layers,
        "reasoning": verdict.reasoning,
    }


def main(folder: Path, out: Path, url: str) -> None:
    """Write the CSV; rows appear in the order of the files' names."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    with out.open("w", newline="") as target, Detector(url) as detector, ThreadPoolExecutor(AT_ONCE) as pool:
        writer = csv.DictWriter(target, COLUMNS)
        writer.writeheader()
        for found in pool.map(lambda path: row(detector, path), files):
            writer.writerow(found)
            target.flush()
    print(f"{len(files)} files: {out}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("verdicts.csv"))
    parser.add_argument("--url", default="localhost:8001")
    args = parser.parse_args()
    main(args.folder, args.out, args.url)
