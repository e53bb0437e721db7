"""One cluster of four nodes for all tests here: it takes longer to come up than most of them."""

from collections.abc import Iterator

import pytest

from tests.helpers.cluster import LocalCluster, local_cluster, nodes_up, on_loopback

NODES = 4


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'lmx-loadgen[cluster]'")
    with on_loopback(), local_cluster(NODES) as started:
        nodes_up(started, NODES)
        yield started
