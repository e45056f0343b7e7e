"""What pyproject.toml cannot say: `leaderboards/` and `zoo/` are packaged below `arbench`.

`plugins` and `tasks` are source roots, not packages: nothing is importable under those names.
"""

from setuptools import find_packages, setup

PACKAGES = {
    package: f"{root}/{package.replace('.', '/')}"
    for root in (".", "plugins", "tasks")
    for package in find_packages(root, include=["arbench*"])
} | {f"arbench.{folder}": folder for folder in ("leaderboards", "zoo")}

setup(packages=[*PACKAGES], package_dir=PACKAGES)
