"""One cluster of four nodes for all tests here: it takes longer to come up than most of them."""

from collections.abc import Iterator

import pytest

from tests.helpers.cluster import LocalCluster, local_cluster, nodes_up

NODES = 4


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'lmx-loadgen[cluster]'")
    from ray._private import ray_constants

    with pytest.MonkeyPatch.context() as patch, local_cluster(NODES) as started:
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # a loopback address stays one
        nodes_up(started, NODES)
        yield started
