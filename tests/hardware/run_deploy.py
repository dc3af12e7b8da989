"""`steadyhand deploy` with the waver for a policy: python run_deploy.py OUT [override ...]."""

import sys
from pathlib import Path

from hardware import deploy
from robot import config

settings = config.resolve("deploy", ["checkpoint=none", "plant=joints", f"out={sys.argv[1]}", *sys.argv[2:]])
settings["loader"] = "waver"
sys.exit(deploy.deploy(settings, [sys.executable, str(Path(__file__).with_name("waver_policy.py"))]))
