"""The gateway's distribution beside the client's, whose contract it speaks."""

import veracity_client
import veracity_gateway
from veracity.settings import CHECKOUT


def test_gateway_and_client_have_one_version() -> None:
    assert veracity_gateway.__version__ == veracity_client.__version__
    for project in (CHECKOUT / "gateway", CHECKOUT):
        wanted = (project / "pyproject.toml").read_text()
        assert f"veracity-client{'[cli]' * (project == CHECKOUT)}=={veracity_client.__version__}" in wanted
    assert f"veracity-gateway=={veracity_gateway.__version__}" in (CHECKOUT / "pyproject.toml").read_text()
