"""The documents' tables of capacity: costs, the simulator and the measurement, plans, and 10^8 files a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.capacity import Demand, Load, Machine, plan
from evaluation.markdown import origin, table
from evaluation.results import load
from evaluation.tables import block

CORES = "cores"
DAY = 86_400
FILES = 10**8
PEAK = 2.0
BUSY = 0.7  # of the cores at the peak, as the plans below it have
# of a gateway's database for a job: made, queued, taken, provenance, verdict, media gone, two events of eight stages
COMMITS = 22
VERDICT_BYTES, KEPT_DAYS = 6_000, 30  # of a line of VERACITY_ANSWERS; as the gateway keeps results
HOURS = (100, 1_000, 10_000)
P95 = (15.0, 60.0)


@block
def costs() -> str:
    """What each kind of file takes alone."""
    document = load("capacity")
    rows = [
        (kind, f"{row['media_seconds']:g} s", f"{row['bytes'] / 1e6:.2f} MB", _seconds(row["wall_seconds"]),
         _seconds(row["cpu_seconds"]))
        for kind, row in document["service"].items()
    ]  # fmt: skip
    taken = [
        f"With all places of {'one server' if full['servers'] == 1 else 'both servers'} taken, "
        f"{full['requests']} files took {full['seconds']:.0f} s, "
        f"{full['inflation']:.2f} times the processor time that they take alone."
        for full in document["full"]
    ]
    more = " ".join(taken)
    return f"{table(('file', 'length', 'size', 'alone', 'CPU time'), rows)}\n\n{more}\n\n{origin(document)}"


@block
def validation() -> str:
    """The simulator beside the measurement, at each load."""
    document = load("capacity")
    rows = [
        (str(level["servers"]), f"{level['load']:.0%}".replace("%", " %"),
         f"{level['measured']['busy_cores'] / level['servers']:.0%}".replace("%", " %"),
         f"{level['files_per_second']:.2f}",
         *(f"{level[who][f'{name}_seconds']:.1f} s" for name in ("mean", "p95") for who in ("measured", "simulated")),
         f"{level['off']:+.0%}".replace("%", " %"))
        for level in document["levels"]
    ]  # fmt: skip
    head = (
        "servers",
        "load, wanted",
        "busy, measured",
        "files a second",
        "mean, measured",
        "simulated",
        "p95, measured",
        "simulated",
        "p95 off by",
    )
    aim = f"{document['aim']:.0%}".replace("%", " %")
    word = "all are within" if document["within"] else "**not all are within**"
    sent = f"{document['requests']} files of a server at each load (`--requests`)"
    return f"{table(head, rows)}\n\n{sent}; of the aim of {aim}, {word} it.\n\n{origin(document)}"


@block
def plans() -> str:
    """Servers for some loads."""
    document = load("capacity")
    demands, rows = demands_of(document), []
    for hours in HOURS:
        for p95 in P95:
            found = plan(Load(float(hours), document["mix"], PEAK), demands, Machine({CORES: 1.0}), p95)
            busy = f"{found.busy[CORES]:.0%}".replace("%", " %")
            rows.append(
                (f"{hours:,}", f"{p95:g} s", f"{found.rate:.2f}", f"{found.servers:,}", busy, f"{found.p95:.1f} s")
            )
    head = (
        "video-hours a day",
        "p95 wanted",
        "files a second at the peak",
        "servers of one core, N + 1",
        "busy at the peak",
        "p95",
    )
    return table(head, rows)


@block
def paper() -> str:
    """The arithmetic of 10^8 files a day, from what was measured."""
    document = load("capacity")
    demands, mix = demands_of(document), document["mix"]
    cpu = sum(share * demands[kind].work[CORES] for kind, share in mix.items())
    size = sum(share * document["service"][kind]["bytes"] for kind, share in mix.items())
    mean, peak = FILES / DAY, FILES / DAY * PEAK
    cores, into, lines = peak * cpu / BUSY, peak * size * 8e-9, FILES * VERDICT_BYTES * KEPT_DAYS / 1e12
    rows = [
        ("files a second", f"10⁸ / {DAY:,} s", f"{mean:,.0f}, at the peak × {PEAK:g}: {peak:,.0f}"),
        ("core-seconds a file", "the mix of the measured files, all places taken", f"{cpu:.2f}"),
        ("cores", f"{peak:,.0f} × {cpu:.2f} / {BUSY:.0%} busy".replace("%", " %"), f"{cores:,.0f}"),
        ("core-hours a day", f"10⁸ × {cpu:.2f} / 3600", f"{FILES * cpu / 3600:,.0f}"),
        ("bytes a file", "the mix", f"{size / 1e6:.2f} MB"),
        ("network into the servers", f"{peak:,.0f} × {size / 1e6:.2f} MB × 8 bits", f"{into:,.1f} Gbit/s at the peak"),
        ("media, if kept for a day", f"10⁸ × {size / 1e6:.2f} MB", f"{FILES * size / 1e12:,.0f} TB"),
        ("verdicts", f"10⁸ × {VERDICT_BYTES:,} bytes × {KEPT_DAYS} days", f"{lines:.1f} TB"),
        ("commits of a gateway", f"{COMMITS} a job × {peak:,.0f}", f"{COMMITS * peak:,.0f} a second"),
    ]  # fmt: skip
    return table(("what", "arithmetic", ""), rows)


def demands_of(document: Mapping[str, Any], servers: int | None = None) -> dict[str, Demand]:
    """What each kind takes with all places taken: of so many servers on the machine, or where that is the most."""
    more = max(full["inflation"] for full in document["full"] if servers in (None, full["servers"]))
    return {
        kind: Demand(
            row["media_seconds"], row["wall_seconds"]["median"] * more, {CORES: row["cpu_seconds"]["median"] * more}
        )
        for kind, row in document["service"].items()
    }


def _seconds(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} s ({spread['min']:.2f} – {spread['max']:.2f})"
