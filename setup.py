"""What pyproject.toml cannot say: `leaderboards/` is packaged as `arbench.leaderboards`.

`plugins` and `tasks` are source roots, not packages: nothing is importable under those names.
"""

from setuptools import find_packages, setup

PACKAGES = {
    package: f"{root}/{package.replace('.', '/')}"
    for root in (".", "plugins", "tasks")
    for package in find_packages(root, include=["arbench*"])
} | {"arbench.leaderboards": "leaderboards"}

setup(packages=[*PACKAGES], package_dir=PACKAGES)
