"""The table of aims: figures of the results that count, and the reason of one that does not."""

import json
from pathlib import Path

from evaluation import aims_table


def test_an_aim_has_its_figure_or_says_why_there_is_none(tmp_path: Path) -> None:
    def contender(name: str, median: float, refused: str = "") -> dict[str, object]:
        return {"name": name, "seconds": {"median": median}, "refused": refused}

    peers = [contender("veracity", 2.0), contender("plain", 9.0), contender("fastapi", 5.0)]
    peers += [contender("litserve", 3.0, "2_visual has P(fake) 0.9, not 0.1"), contender("ray_serve", 3.0)]
    about = {
        "commit": "0123456789ab",
        "weights": {"visual_sbi_b4": "made up"},
        "benchmark": "peers_bench",
        "machine": {},
        "profile": "bench",
    }
    (tmp_path / "peers_bench.json").write_text(json.dumps({**about, "contenders": peers}))
    table = aims_table.aims(tmp_path)
    assert "4.5 × `plain`, 2.5 × `fastapi`, `litserve` not counted, 1.5 × `ray_serve`" in table
    assert "no figure: `cold.json` does not exist" in table


def test_bounds_and_parts_come_from_the_layers_of_one_clip(tmp_path: Path) -> None:
    parts = [
        {"what": "decode", "share": 0.42, "cpu_seconds": {"median": 2.9}},
        {"what": "orchestration", "share": 0.15, "cpu_seconds": {"median": 1.039}},
    ]
    about = {"commit": "0123456789ab", "weights": {"made": "up"}, "machine": {}, "profile": "bench"}
    (tmp_path / "layers.json").write_text(
        json.dumps({**about, "benchmark": "layers", "policies": {"exhaustive": {"parts": parts}}})
    )
    latency = {**about, "benchmark": "latency", "times_ffmpeg_null": {"exhaustive": 3.6, "fail_fast": 0.4}}
    (tmp_path / "latency.json").write_text(json.dumps(latency))
    table = aims_table.aims(tmp_path)
    assert "at most 0.42" in table
    assert "1039 ms" in table
    assert "not measured: `--clip` named another" in table
    (tmp_path / "latency.json").write_text(json.dumps({**latency, "messenger_seconds": {"median": 2.51}}))
    assert "2.5 s" in aims_table.aims(tmp_path)
