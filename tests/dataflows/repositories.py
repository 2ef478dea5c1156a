"""Tests that need repositories, and dataflows beside them."""

import os
import re
import shutil
import subprocess

from harness import FlowTest, Node, settings

SCRIPT = "import os\nfrom dora import Node\nNode()\nprint({0!r}, os.getcwd())\n"

#: Stands in for git, waits where the test says so, and keeps a record.
SLOW_GIT = """\
#!/bin/sh
echo "$@" >> {place}/asked
case "$*" in
*clone*--progress*)
    for last; do :; done
    mkdir -p "$last/.git"
    echo $$ > {place}/pid
    while :; do
        printf 'Receiving objects:  10%% (1/10)\\r' >&2
        sleep 0.2
    done;;
esac
exec {git} "$@"
"""


class GitTest(FlowTest):
    def setUp(self):
        super().setUp()
        if shutil.which("git") is None:
            self.skipTest("no git")
        self.home = os.path.join(self.directory, "home")
        os.mkdir(self.home)
        self.commits = 0

    def environment(self, extra=None):
        """Nothing of whoever runs the tests."""
        env = super().environment(extra)
        env = {key: value for key, value in env.items() if not key.startswith("GIT_")}
        return {**env, "HOME": self.home, "GIT_CONFIG_NOSYSTEM": "1", **(extra or {})}

    def git(self, *words, where="work"):
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C",
             os.path.join(self.directory, where), *words],
            env=self.environment(), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def repository(self, name="nodes"):
        """A bare one, with a branch `main`, and a working tree to add to it."""
        for place, bare in ((f"{name}.git", ["--bare"]), ("work", [])):
            os.makedirs(os.path.join(self.directory, place), exist_ok=True)
            self.git("init", "-q", "-b", "main", *bare, where=place)
        self.git("remote", "add", "origin", f"../{name}.git")
        return self.commit("first")

    def commit(self, says, **files):
        """Pushes to the branch; returns the commit's id."""
        self.commits += 1
        files = {"node.py": SCRIPT.format(says), **files}
        for name, text in files.items():
            self.write(f"work/{name}", text, 0o755)
        self.git("add", ".")
        self.git("commit", "-q", "--allow-empty", "-m", f"{self.commits} {says}")
        self.git("push", "-q", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def node(self, url="nodes.git", **keys):
        if settings.isolation:
            keys.setdefault("isolation", settings.isolation)
        return Node(path="node.py", git=url, **keys)

    def clones(self):
        found = []
        for place, directories, _ in os.walk(os.path.join(self.directory, "out", "git")):
            found += [name for name in directories if len(name) == 40 or "new" in name]
            if place.count("/") - self.directory.count("/") >= 3:
                directories.clear()
        return sorted(found)

    def said(self, run, node="a"):
        """What the script printed, and the name of its directory."""
        said = re.findall(rf" {node}: (\w+) {self.directory}/out/git/[^/]+/(\w+)\n", run.out)
        self.assertEqual(len(said), 1, run)
        return said[0]

    def unreachable(self):
        os.rename(os.path.join(self.directory, "nodes.git"),
                  os.path.join(self.directory, "gone.git"))

    def slow_git(self):
        """An environment in which cloning takes until it is ended."""
        git = subprocess.run(["sh", "-c", "command -v git"], check=True,
                             capture_output=True, text=True).stdout.strip()
        self.write("bin/git", SLOW_GIT.format(place=self.directory, git=git), 0o755)
        path = self.environment()["PATH"]
        return {"PATH": os.path.join(self.directory, "bin") + ":" + path}
