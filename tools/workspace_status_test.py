#!/usr/bin/env python3
"""Runs workspace_status.sh in trees of all kinds."""

import os
import subprocess
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workspace_status.sh")
IDENTITY = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")


class WorkspaceStatusTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.clone = os.path.join(temp.name, "clone")
        os.mkdir(self.clone)
        # No repository around the temporary folder, and no configuration of the user, may have a say.
        self.environment = dict(os.environ, GIT_CEILING_DIRECTORIES=temp.name, GIT_CONFIG_GLOBAL="/dev/null")

    def git(self, *arguments):
        command = ("git",) + IDENTITY + arguments
        return subprocess.run(command, cwd=self.clone, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def commit(self):
        self.git("init", "--quiet")
        with open(os.path.join(self.clone, "file"), "w") as file:
            file.write("a")
        self.git("add", "file")
        self.git("commit", "--quiet", "--message=first")
        return self.git("rev-parse", "--short=12", "HEAD").strip()

    def status(self, folder=None, **variables):
        environment = dict(self.environment, **variables)
        run = subprocess.run([SCRIPT], cwd=folder or self.clone, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        self.assertTrue(run.stdout.startswith("STABLE_BROOD_COMMIT "), run.stdout)
        return run.stdout.split(" ", 1)[1].rstrip("\n")

    def test_a_clone_has_its_commit(self):
        self.assertEqual(self.status(), "unknown")
        commit = self.commit()
        self.assertEqual(self.status(), commit)

    def test_a_changed_file_is_told_and_a_new_one_is_not(self):
        commit = self.commit()
        open(os.path.join(self.clone, "new"), "w").close()
        self.assertEqual(self.status(), commit)
        with open(os.path.join(self.clone, "file"), "w") as file:
            file.write("b")
        self.assertEqual(self.status(), commit + "-modified")

    def test_before_the_first_commit_it_is_unknown(self):
        self.git("init", "--quiet")
        open(os.path.join(self.clone, "new"), "w").close()
        self.git("add", "new")
        self.assertEqual(self.status(), "unknown")

    def test_a_clone_of_another_user_has_its_commit(self):
        commit = self.commit()
        self.assertEqual(self.status(GIT_TEST_ASSUME_DIFFERENT_OWNER="1"), commit)

    def test_an_unpacked_archive_inside_a_foreign_clone_is_unknown(self):
        self.commit()
        folder = os.path.join(self.clone, "third_party")
        os.mkdir(folder)
        self.assertEqual(self.status(folder), "unknown")

    def test_without_git_it_is_unknown(self):
        self.commit()
        self.assertEqual(self.status(PATH="/nowhere"), "unknown")


if __name__ == "__main__":
    unittest.main()
