#!/usr/bin/env python3
"""Feeds run_tests.py what Bazel and GoogleTest write, and checks what it counts."""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run_tests  # noqa: E402

GTEST = """<testsuites><testsuite name="S">
<testcase name="Passes" status="run" result="completed" classname="S"/>
<testcase name="Fails" status="run" result="completed" classname="S"><failure message="a.cc:3&#x0A;not so"/></testcase>
<testcase name="Skips" status="run" result="skipped" classname="S"><skipped message="a.cc:9&#x0A;no cgroup"/></testcase>
<testcase name="DISABLED_Off" status="notrun" result="suppressed" classname="S"/>
</testsuite></testsuites>"""
PASSING = '<testsuites><testsuite><testcase name="A" status="run" result="completed" classname="S"/></testsuite></testsuites>'


class CountTest(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)

    def result(self, label, status, xml=None, shard=1):
        outputs = []
        if xml is not None:
            path = os.path.join(self.temp.name, "%s %d.xml" % (label.replace("/", "_"), shard))
            with open(path, "w") as file:
                file.write(xml)
            outputs.append({"name": "test.xml", "uri": "file://" + path.replace(" ", "%20")})
        identity = {"label": label, "run": 1, "shard": shard, "attempt": 1}
        return {"id": {"testResult": identity}, "testResult": {"status": status, "testActionOutput": outputs}}

    def count(self, *events):
        counts = run_tests.Counts()
        run_tests.count_events([json.dumps(event) for event in events], counts)
        return counts

    def test_cases_are_counted_with_their_reasons(self):
        counts = self.count(self.result("//a:t", "FAILED", GTEST))
        self.assertEqual(counts.passed, 1)
        self.assertEqual(counts.failed, [("//a:t S.Fails", "not so")])
        self.assertEqual(counts.skipped, [("//a:t S.Skips", "no cgroup"), ("//a:t S.DISABLED_Off", "disabled")])

    def test_shards_add_up(self):
        self.assertEqual(self.count(*[self.result("//a:t", "PASSED", PASSING, shard=n) for n in (1, 2, 3)]).passed, 3)

    def test_a_program_that_ends_badly_after_its_cases_failed(self):
        counts = self.count(self.result("//a:t", "FAILED", PASSING))
        self.assertEqual((counts.passed, counts.failed), (1, [("//a:t", "failed, though none of its cases did")]))

    def test_a_result_without_cases_is_one_case(self):
        counts = self.count(self.result("//a:t", "PASSED"), self.result("//a:u", "TIMEOUT"))
        self.assertEqual((counts.passed, counts.failed), (1, [("//a:u", "timeout")]))

    def test_what_does_not_build_failed(self):
        counts = self.count({"id": {"targetCompleted": {"label": "//a:t"}}, "completed": {"success": False}})
        self.assertEqual(counts.failed, [("//a:t", "does not build")])

    def test_what_never_ran_failed(self):
        summary = {"id": {"testSummary": {"label": "//a:t"}}, "testSummary": {"overallStatus": "NO_STATUS"}}
        self.assertEqual(self.count(summary).failed, [("//a:t", "no_status")])

    def test_a_failed_test_is_not_counted_twice(self):
        counts = self.count(
            {"id": {"targetCompleted": {"label": "//a:t"}}, "completed": {"success": True}},
            self.result("//a:t", "FAILED", GTEST),
            {"id": {"testSummary": {"label": "//a:t"}}, "testSummary": {"overallStatus": "FAILED"}},
        )
        self.assertEqual(len(counts.failed), 1)

    def test_other_platforms_are_skipped(self):
        completed = {"id": {"targetCompleted": {"label": "//a:win"}}, "aborted": {"reason": "SKIPPED"}}
        self.assertEqual(self.count(completed).skipped, [("//a:win", "not for this platform")])

    def test_without_wine_the_tests_for_windows_are_one_skipped_test_with_its_reason(self):
        counts = run_tests.Counts()
        before = run_tests.WINE
        run_tests.WINE = os.path.join(self.temp.name, "no-wine")
        self.addCleanup(setattr, run_tests, "WINE", before)
        run_tests.windows([], counts)
        self.assertEqual((counts.passed, counts.failed, len(counts.skipped)), (0, [], 1))
        self.assertRegex(counts.skipped[0][1], "no-wine is missing|this is|posix is missing")

    def test_a_pattern_that_matches_nothing_failed(self):
        pattern = {"id": {"pattern": {"pattern": ["//no/..."]}}, "aborted": {"description": "no targets found"}}
        self.assertEqual(self.count(pattern).failed, [("//no/...", "no targets found")])


if __name__ == "__main__":
    unittest.main()
