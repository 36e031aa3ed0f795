"""``veracity analyze --html``, ``--pdf`` and ``--report``: the verdict of one file as a signed report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from veracity_client.cli import Wrap
from veracity_client.console import ERROR
from veracity_client.errors import BadOption, InternalError, VeracityError
from veracity_client.inputs import expand

if TYPE_CHECKING:
    from veracity_client.client import Detector
    from veracity_client.reports import Reporter
    from veracity_client.results import Line
    from veracity_client.verdict import Options, Verdict
    from veracity_gateway.report.document import Report
    from veracity_gateway.report.evidence import Circumstances
    from veracity_gateway.report.signing import SigningKey

TARGETS = {"html": "a self-contained page", "pdf": "a PDF", "report": "JSON"}  # options; their values are files


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to ``analyze``."""
    group = parser.add_argument_group("a signed report of one file, which veracity verify checks")
    for name, form in TARGETS.items():
        group.add_argument(f"--{name}", type=Path, metavar="TO", help=f"write the report as {form}")
    group.add_argument("--signing-key", type=Path, metavar="PEM", help="an Ed25519 key (default: your own, made once)")
    group.add_argument("--audit-log", type=Path, metavar="LOG", help="enter the report in this hash-chained log")
    group.add_argument("--timestamp-url", metavar="URL", help="have it stamped by this RFC 3161 service")


def writer(args: argparse.Namespace) -> Wrap | None:
    """Return what writes the reports that were asked for; None where there are none.

    Raises :class:`BadOption` before anything is analysed where they could not be written.
    """
    if not any(getattr(args, name) for name in TARGETS):
        if args.signing_key or args.audit_log or args.timestamp_url:
            raise BadOption("--signing-key, --audit-log and --timestamp-url are for --html, --pdf or --report")
        return None
    if len(expand(args.files)[0]) != 1:
        raise BadOption("a report is of one file: give one, or leave out --html, --pdf and --report")
    if args.out:
        raise BadOption("a report is of a new analysis: leave out --out, which may answer from an earlier run")
    for target in (path for name in TARGETS if (path := getattr(args, name))):
        if not target.absolute().parent.is_dir():
            raise BadOption(f"{target} cannot be written: there is no folder {target.absolute().parent}")
    require_gateway()
    key = _key(args.signing_key)
    return lambda shown: ReportFiles(shown, args, key)


def require_gateway() -> None:
    """Leave with what to install where the package that makes and checks reports is missing."""
    from veracity.install.advice import extra

    try:
        import veracity_gateway.report.verify  # noqa: F401
    except ModuleNotFoundError as error:
        sys.stderr.write(f"veracity: reports need {error.name}, which is not installed: {extra('gateway')}\n")
        raise SystemExit(ERROR) from None


@dataclass
class ReportFiles:
    """Shows what is found as before, and writes the report of a verdict."""

    shown: Reporter
    args: argparse.Namespace
    key: SigningKey
    circumstances: Circumstances | None = None
    provenance: dict[str, Any] | None = None

    def watch(self, name: str, detector: Detector, video: bytes, options: Options) -> Verdict:
        """Analyse, and keep what a report tells of it."""
        from veracity_gateway.report.evidence import Circumstances, Times

        fingerprints = {server.fingerprint if server else None for server in detector.info()}
        started = _now()
        verdict = self.shown.watch(name, detector, video, options)
        times = Times(started, started, _now())
        fingerprint = fingerprints.pop() if len(fingerprints) == 1 else None
        self.circumstances = Circumstances(name, options, times, fingerprint)
        self.provenance = _provenance(video)
        return verdict

    def show(self, name: str, found: Verdict | VeracityError | Line, text: str) -> None:
        """Show, and write the report."""
        from veracity_client.verdict import Verdict

        self.shown.show(name, found, text)
        if isinstance(found, Verdict):
            try:
                self._write(found)
            except VeracityError as error:
                _leave(error.to_wire())
            except OSError as error:
                _leave(str(error))

    def failed(self, names: Iterable[str], error: VeracityError) -> None:
        """Say so as before."""
        self.shown.failed(names, error)

    def _write(self, verdict: Verdict) -> None:
        from veracity_gateway.report.audit import AuditLog, FileRows
        from veracity_gateway.report.document import make_report
        from veracity_gateway.report.evidence import make_evidence
        from veracity_gateway.report.timestamps import TimestampService

        if self.circumstances is None:
            raise InternalError("a verdict came that was not watched")
        log = AuditLog(FileRows(self.args.audit_log)) if self.args.audit_log else None
        service = TimestampService(self.args.timestamp_url) if self.args.timestamp_url else None
        report = make_report(
            make_evidence(verdict, self.circumstances, provenance=self.provenance), self.key, log, service
        )
        for name, make in _makers().items():
            if target := getattr(self.args, name):
                target.write_bytes(make(report))


def _makers() -> dict[str, Callable[[Report], bytes]]:
    from veracity_gateway.report.html import to_html
    from veracity_gateway.report.pdf import to_pdf

    return {"report": lambda report: report.to_json(), "html": lambda report: to_html(report).encode(), "pdf": to_pdf}


def _provenance(video: bytes) -> dict[str, Any]:
    """Return what the bytes that were analysed say of their origin."""
    from veracity_gateway import provenance

    with tempfile.NamedTemporaryFile() as file:
        file.write(video)
        file.flush()
        return provenance.read(Path(file.name)).to_dict()


def _key(given: Path | None) -> SigningKey:
    import platformdirs

    from veracity_gateway.report.signing import SigningKey

    if given:
        return SigningKey.from_pem(given)
    folder = platformdirs.user_data_path("veracity", appauthor=False) / "keys"
    if not folder.is_absolute():  # no home was found
        raise BadOption("this user has no home directory to keep a signing key in: give one with --signing-key")
    return SigningKey.in_folder(folder)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _leave(said: str) -> NoReturn:
    sys.stderr.write(f"the report was not written: {said}\n")
    raise SystemExit(ERROR)
