"""A Ray cluster of two nodes on this machine. Prints its address; told to, kills the second while both are at work."""

import os
import sys
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=NODE)
second = cluster.add_node(**NODE)
ray.init(cluster.address, log_to_driver=False)
print(cluster.address, flush=True)
sys.stdin.readline()


def happens(what) -> bool:
    for _ in range(600):
        if what():
            return True
        time.sleep(0.05)
    return False


busy = happens(lambda: not ray.available_resources().get("CPU", 0))
cluster.remove_node(second, allow_graceful=False)
left = happens(lambda: sum(node["Alive"] for node in ray.nodes()) == 1)
print(f"both at work: {busy}, one left: {left}", flush=True)
sys.stdin.readline()
ray.shutdown()
cluster.shutdown()
