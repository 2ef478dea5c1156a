"""`git` sources: what is cloned, when again, and what runs in the clone."""

import fcntl
import os
import select
import signal
import subprocess

from harness import Node, settings
from repositories import GitTest


class Git(GitTest):
    # --- what is used -----------------------------------------------------

    def test_a_run_clones_and_runs_in_the_clone(self):
        first = self.repository()
        run = self.flow({"a": self.node()})
        self.assertEqual(self.said(run), ("first", first))
        self.assertIn("git: clones the default branch of nodes.git", run.out)
        self.assertIn(first, run.node("a")["git"])

    def test_again_without_the_repository(self):
        first = self.repository()
        wishes = {"a": self.node(), "b": self.node(branch="main"),
                  "c": self.node(rev=first), "d": self.node(rev=first[:9].upper())}
        self.flow(wishes)
        self.unreachable()
        run = self.flow(wishes)
        for name in wishes:
            self.assertEqual(self.said(run, name), ("first", first))
        self.assertEqual(self.clones(), [first])
        self.assertNotIn("git:", run.out)

    def test_a_branch_moves_when_it_is_built(self):
        first = self.repository()
        wishes = {"a": self.node(branch="main"), "b": self.node(rev=first)}
        self.flow(wishes)
        second = self.commit("second")
        run = self.flow(wishes)
        self.assertEqual(self.said(run), ("first", first))
        done = self.command("build", "flow.yml")
        self.assertEqual(done.returncode, 0, done.stderr)
        run = self.flow(wishes)
        self.assertEqual(self.said(run), ("second", second))
        self.assertEqual(self.said(run, "b"), ("first", first))
        self.assertEqual(self.clones(), sorted([first, second]))

    def test_building_without_the_repository_stays(self):
        first = self.repository()
        self.flow({"a": self.node(branch="main")})
        self.unreachable()
        done = self.command("build", "flow.yml")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"it stays at {first}", done.stdout)

    def test_branches_tags_and_commits(self):
        first = self.repository()
        self.git("checkout", "-q", "-b", "feature/x")
        other = self.commit("other")
        self.git("tag", "light")
        self.git("tag", "-m", "words", "v1.0", first)
        self.git("push", "-q", "--tags", "origin")
        hidden = self.commit("hidden")
        self.git("push", "-q", "origin", f"{hidden}:refs/pull/7/head")
        self.git("push", "-q", "-f", "origin", f"{other}:refs/heads/feature/x")
        run = self.flow({
            "a": self.node(branch="feature/x"),
            "b": self.node(tag="light"),
            "c": self.node(tag="v1.0"),
            "d": self.node(rev=hidden),
            "e": self.node(url=f"file://{self.directory}/nodes.git", rev=other),
            "f": self.node(url=f"{self.directory}/nodes.git/"),
        })
        self.assertEqual([self.said(run, name) for name in "abcdef"],
                         [("other", other), ("other", other), ("first", first),
                          ("hidden", hidden), ("other", other), ("first", first)])
        self.assertEqual(len(self.clones()), 5)

    def test_a_changed_wish_is_fetched(self):
        first = self.repository()
        self.flow({"a": self.node(branch="main")})
        second = self.commit("second")
        run = self.flow({"a": self.node(rev=second)})
        self.assertEqual(self.said(run), ("second", second))
        run = self.flow({"a": self.node(rev=first)})
        self.assertEqual(self.said(run), ("first", first))

    def test_a_damaged_clone_does_not_hinder_the_next(self):
        first = self.repository()
        self.flow({"a": self.node(branch="main")})
        place, = (r for r, ds, _ in os.walk(self.directory + "/out/git") if first in ds)
        os.remove(os.path.join(place, first, ".git", "HEAD"))
        second = self.commit("second")
        run = self.flow({"a": self.node(rev=second)})
        self.assertEqual(self.said(run), ("second", second))

    def test_its_history_and_origin_are_there(self):
        self.repository()
        self.git("tag", "v3")
        self.git("push", "-q", "--tags", "origin")
        self.commit("second")
        build = "sh -c 'git describe --tags > described; git fetch -q origin'"
        self.flow({"a": self.node(build=build)})
        found, = (os.path.join(r, "described")
                  for r, _, fs in os.walk(self.directory + "/out/git") if "described" in fs)
        with open(found) as file:
            self.assertRegex(file.read(), "^v3-1-g")

    def test_build_lines_run_in_each_new_clone(self):
        commits = [self.repository()]
        build = "sh -c 'pwd >> ../../../../built'"
        for says in ("first", "second"):
            if says == "second":
                commits.append(self.commit(says))
            self.command("build", "--python", settings.python,
                         self.write_flow({"a": self.node(build=build)}))
            run = self.flow({"a": self.node(build=build)})
            self.assertEqual(self.said(run)[0], says)
        with open(self.directory + "/built") as file:
            self.assertEqual(list(map(os.path.basename, file.read().split())), commits)

    def test_its_python_is_the_clones_or_the_dataflows(self):
        self.repository()
        script = "import sys\nfrom dora import Node\nNode()\nprint(sys.prefix)\n"
        self.commit("x", **{"prefix.py": script})
        venv = [settings.python, "-m", "venv", "--without-pip"]
        subprocess.run([*venv, self.directory + "/.venv"], check=True)
        keys = {"path": "prefix.py", "git": "nodes.git", "isolation": "process"}
        path = self.write_flow({
            "a": Node(**keys, python="mine", build=" ".join([*venv, "mine"])),
            "b": Node(**keys),
        })
        run = self.ended(self.start_file(path, python=None))
        place, = self.clones()
        self.assertRegex(run.lines("a")[0], f"^{self.directory}/out/git/.*/{place}/mine$")
        self.assertEqual(run.lines("b"), [self.directory + "/.venv"])

    def test_a_program_of_the_clone(self):
        self.repository()
        self.commit("x", **{"say.sh": "#!/bin/sh\nbasename $PWD\n"})
        run = self.flow({"a": Node(path="./say.sh", git="nodes.git")})
        self.assertEqual(run.lines("a"), self.clones())

    def test_submodules_are_mentioned(self):
        self.repository()
        self.commit("x", **{".gitmodules": ""})
        run = self.flow({"a": self.node()})
        self.assertIn("`build: git submodule update --init`", run.out)

    def test_hooks_of_git_do_not_lead_it_astray(self):
        first = self.repository()
        run = self.flow({"a": self.node()}, env={
            "GIT_DIR": self.directory + "/work/.git", "GIT_INDEX_FILE": "/nowhere/x"})
        self.assertEqual(self.said(run), ("first", first))
        self.assertEqual(self.git("status", "--porcelain"), "")

    # --- check, --no-build ------------------------------------------------

    def test_check_fetches_nothing(self):
        first = self.repository()
        path = self.write_flow({"a": self.node(branch="main")})
        done = self.command("check", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("a: git: branch `main` of nodes.git, to be fetched", done.stdout)
        self.assertFalse(os.path.exists(self.directory + "/out"))
        self.command("build", path)
        self.unreachable()
        done = self.command("check", path)
        self.assertRegex(done.stdout,
                         f"a: git: branch `main` of nodes.git, in /.*/{first}\n")

    def test_without_building_and_without_a_clone(self):
        self.repository()
        run = self.flow({"a": self.node()}, args=["--no-build"], code=1)
        self.assertRegex(run.err, r"flow.yml:\d+:\d+: node `a`: its `git` source has "
                                  "not been fetched yet: `dora-run build` does it")
        self.assertFalse(os.path.exists(self.directory + "/out/git"))

    # --- what goes wrong --------------------------------------------------

    def refused(self, phrase, code=1, env=None, **keys):
        run = self.flow({"a": self.node(**keys)}, code=code, env=env)
        self.assertRegex(run.err, rf"flow.yml:\d+:\d+: (error: )?node `a`: .*{phrase}")
        self.assertEqual([name for name in self.clones() if "new" in name], [])

    def test_what_is_not_there(self):
        self.repository()
        self.refused("git: there is no branch `x` of nodes.git", branch="x")
        self.refused("git: there is no tag `main`", tag="main")
        self.refused("git: there is no commit `0{40}`", rev="0" * 40)
        self.refused("git: there is no commit `abcd1`", rev="abcd1")
        self.refused("cannot look up the default branch of none.git: fatal: 'none.git' "
                     "does not appear to be a git repository", url="none.git")
        self.refused("there is no program `git` on PATH: install the package `git`",
                     env={"PATH": "/nowhere"})

    def test_an_empty_repository(self):
        os.mkdir(self.directory + "/nodes.git")
        self.git("init", "-q", "--bare", where="nodes.git")
        self.refused("the default branch of nodes.git is not there: the repository is empty")

    def test_what_git_could_take_for_something_else(self):
        self.write("touch.sh", "#!/bin/sh\ntouch pwned\n", 0o755)
        for url in ("ext::./touch.sh", "--upload-pack=./touch.sh", "-c", "fd::7",
                    "ssh://-oProxyCommand=./touch.sh/x", "foo://x", "a\nb"):
            self.refused("`git` ", url=url)
        for key in ("branch", "tag", "rev"):
            for name in ("--upload-pack=./touch.sh", "-b", "a b", "a*", "x..y"):
                self.refused(f"`{key}` ", **{key: name})
        self.assertFalse(os.path.exists(self.directory + "/pwned"))
        self.assertFalse(os.path.exists(self.directory + "/out"))

    def test_no_git_beside_the_dataflow_is_run(self):
        first = self.repository()
        self.write("git", "#!/bin/sh\ntouch pwned\n", 0o755)
        self.assertEqual(self.said(self.flow({"a": self.node()})), ("first", first))
        self.assertFalse(os.path.exists(self.directory + "/pwned"))

    def test_nobody_is_asked_for_a_password(self):
        self.repository()
        self.write("helper", "#!/bin/sh\necho terminal=$GIT_TERMINAL_PROMPT"
                             " tty=$(sh -c ': < /dev/tty' 2>&1 | tail -c 30) >&2\n", 0o755)
        run = self.flow({"a": self.node(url="ssh://host/x")}, code=1,
                        env={"GIT_SSH": self.directory + "/helper"})
        self.assertIn("terminal=0 tty=", run.out)
        self.assertIn("No such device or address", run.out)

    def assert_gone(self):
        """git has ended, by a signal that nobody but the kernel sends."""
        with open(self.directory + "/pid") as file:
            pid = int(file.read())
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self.addCleanup(os.close, ended)
        self.assertTrue(select.select([ended], [], [], 5 * settings.patience)[0])

    # --- stopped, killed, side by side ------------------------------------

    def cloning(self):
        running = self.start({"a": self.node()}, env=self.slow_git())
        running.expect("10% (1/10)")
        self.assertEqual(len(self.clones()), 1)
        return running

    def test_stopped_while_cloning(self):
        self.repository()
        for number in (signal.SIGINT, signal.SIGTERM):
            running = self.cloning()
            running.signal(number)
            run = self.ended(running, 1)
            self.assertIn("git: stopped, before it could clone the default branch", run.err)
            self.assertLess(run.own, 10)
            self.assertEqual(self.clones(), [])

    def test_build_stopped_while_cloning(self):
        self.repository()
        self.write_flow({"a": self.node()})
        process = subprocess.Popen(
            [settings.dora_run, "build", "flow.yml"], cwd=self.directory, text=True,
            env=self.environment(self.slow_git()), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        for line in process.stdout:
            if "10% (1/10)" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped, before", err)
        self.assertEqual(self.clones(), [])

    def test_killed_while_cloning(self):
        first = self.repository()
        running = self.cloning()
        running.signal(signal.SIGKILL)
        self.ended(running, None)
        self.assert_gone()
        self.assertEqual(len(self.clones()), 1)
        run = self.flow({"a": self.node()})
        self.assertEqual(self.said(run), ("first", first))
        self.assertEqual(self.clones(), [first])

    def test_two_fetch_one_after_the_other(self):
        first = self.repository()
        os.makedirs(self.directory + "/out/git")
        with open(self.directory + "/out/git/.lock", "w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            running = [self.start({"a": self.node()}) for _ in range(2)]
            for one in running:
                one.expect("waits for another dora-run that fetches")
        said = [self.ended(one).out for one in running]
        self.assertEqual(self.clones(), [first])
        self.assertEqual(sum("git: clones" in text for text in said), 1)
