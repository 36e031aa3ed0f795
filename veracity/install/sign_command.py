"""``veracity weights sign`` and ``veracity weights provenance``: who answers for a model, and what it was made of."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from veracity.install.files import WeightsError
from veracity_client.errors import BadOption


def add(actions: argparse._SubParsersAction[Any]) -> None:
    """Add both to the actions of ``veracity weights``."""
    signed = actions.add_parser("sign", help="sign the models of the repository, with what each was made of beside it")
    _add_models(signed)
    signed.add_argument("--key", type=Path, required=True, metavar="PEM", help="private key of a NIST curve")
    signed.add_argument("--password-file", type=Path, metavar="FILE", help="its first line is the key's password")
    signed.add_argument("--certificate", type=Path, metavar="PEM", help="of the key, from an authority")
    signed.add_argument(
        "--chain", type=Path, nargs="+", default=[], metavar="PEM", help="certificates between it and the authority"
    )
    signed.set_defaults(command=_sign)
    told = actions.add_parser("provenance", help="print what models were made of: an in-toto statement a line")
    _add_models(told)
    told.set_defaults(command=_provenance)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", metavar="MODEL", help="none means all that can be served")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="model repository (default: the setting's)")


def _sign(args: argparse.Namespace) -> int:
    from veracity.install import signing, statement

    if args.certificate and args.password_file:
        raise BadOption("--certificate: give a key without a password, as model-signing takes no other with it")
    if args.chain and not args.certificate:
        raise BadOption("--chain belongs to --certificate")
    key = signing.Key(args.key, _first_line(args.password_file), args.certificate, args.chain)
    folders, weights = _chosen(args)
    for folder in folders:
        try:
            statement.write(folder, weights)
        except OSError as error:
            raise WeightsError(f"{folder.name} is not signed: {error.strerror or error}") from None
        signing.sign(folder, key)
        sys.stdout.write(f"{folder.name}: {signing.SIGNATURE}\n")
    return 0


def _provenance(args: argparse.Namespace) -> int:
    from veracity.install.statement import statement

    folders, weights = _chosen(args)
    for folder in folders:
        sys.stdout.write(json.dumps(statement(folder, weights)) + "\n")
    return 0


def _chosen(args: argparse.Namespace) -> tuple[list[Path], Path]:
    """Return the folders of the models that were asked for, and that of the weights."""
    from veracity.settings import Settings

    settings = Settings.from_env()
    repository = args.repository or settings.model_repository
    there = {path.parent.parent.name: path.parent.parent for path in sorted(repository.glob("*/[0-9]*/model.*"))}
    there = {name: folder for name, folder in there.items() if (folder / "config.pbtxt").is_file()}
    if unknown := [name for name in args.models if name not in there]:
        raise BadOption(
            f"{repository} has nothing to serve of {', '.join(unknown)}; it has {', '.join(there) or 'none'}"
        )
    if not there:
        raise WeightsError(f"{repository} has no model that could be served")
    return [there[name] for name in args.models or there], settings.weights


def _first_line(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"--password-file: {path} cannot be read: {error}") from None
