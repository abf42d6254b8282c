"""Runs groups of tests and counts their cases; see tools/test, which does the set-up first."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Patterns of `bazel test`. A later pattern can bring back what an earlier one took away.
EVERYTHING = ["//..."]
UNIT = ["//...", "-//tests/..."]
GUEST = ["//tests/guest:guest_test"]

# Where Debian has them: g++-mingw-w64-x86-64-posix, wine64.
MINGW = "/usr/bin/x86_64-w64-mingw32-g++-posix"
WINE = "/usr/lib/wine/wine64"
WINE_SERVER = "/usr/lib/wine/wineserver64"
WINDOWS = ["--config=windows"]
GROUPS = {"unit": UNIT, "e2e": ["//tests/..."], "all": EVERYTHING, "guest": GUEST}


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = []  # (name, reason)
        self.skipped = []


def first_line(text):
    """The line of a gtest or Bazel message that says why."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    # gtest puts the place first: "launcher/process_test.cc:12".
    if len(lines) > 1 and lines[0].rpartition(":")[2].isdigit():
        return lines[1]
    return lines[0] if lines else ""


def count_xml(path, label, status, counts):
    """Counts the cases of one test.xml; returns how many of them failed."""
    failed = 0
    for case in ElementTree.parse(path).iter("testcase"):
        name = label
        if case.get("classname"):
            name += " %s.%s" % (case.get("classname"), case.get("name"))
        problem = case.find("failure")
        if problem is None:
            problem = case.find("error")
        skip = case.find("skipped")
        if problem is not None:
            failed += 1
            reason = first_line(problem.get("message") or problem.text)
            counts.failed.append((name, "timed out" if status == "TIMEOUT" else reason))
        elif skip is not None:
            counts.skipped.append((name, first_line(skip.get("message") or skip.text) or "no reason given"))
        elif case.get("status") == "notrun" or case.get("result") == "suppressed":
            counts.skipped.append((name, "disabled"))
        else:
            counts.passed += 1
    return failed


def local_path(uri):
    return urllib.parse.unquote(urllib.parse.urlparse(uri).path)


def count_events(lines, counts):
    """Counts from Bazel's build event protocol, as JSON lines."""
    results = {}  # (label, run, shard): the testResult of its last attempt
    problems = {}  # label: why it has no result
    summaries = {}  # label: overall status
    for line in lines:
        event = json.loads(line)
        kind, identity = next(iter(event["id"].items()))
        label = identity.get("label") if isinstance(identity, dict) else None
        if kind == "testResult":
            results[label, identity.get("run"), identity.get("shard")] = event.get("testResult", {})
        elif kind == "testSummary":
            summaries[label] = event.get("testSummary", {}).get("overallStatus")
        elif kind in ("targetCompleted", "configuredLabel", "unconfiguredLabel", "targetConfigured"):
            if "aborted" in event:
                reason = event["aborted"].get("reason", "")
                detail = first_line(event["aborted"].get("description"))
                if reason == "SKIPPED":
                    counts.skipped.append((label, "not for this platform"))
                elif reason != "NO_BUILD":
                    problems.setdefault(label, detail or reason or "was not built")
            elif kind == "targetCompleted" and not event.get("completed", {}).get("success"):
                problems.setdefault(label, "does not build")
        elif kind == "pattern" and "aborted" in event:
            patterns = " ".join(identity.get("pattern", []))
            problems.setdefault(patterns, first_line(event["aborted"].get("description")))
    tested = set()
    for (label, _, _), result in sorted(results.items(), key=lambda item: str(item[0])):
        tested.add(label)
        status = result.get("status", "NO_STATUS")
        xml = [o["uri"] for o in result.get("testActionOutput", []) if o["name"] == "test.xml" and "uri" in o]
        failed = 0
        reason = status.lower().replace("_", " ")
        if xml and os.path.exists(local_path(xml[0])):
            failed = count_xml(local_path(xml[0]), label, status, counts)
            reason += ", though none of its cases did"
        elif status == "PASSED":
            counts.passed += 1
        if status not in ("PASSED", "FLAKY") and not failed:
            counts.failed.append((label, reason))
    for label, reason in problems.items():
        if label not in tested:
            counts.failed.append((label, reason))
    for label, status in summaries.items():
        if label not in tested and label not in problems:
            counts.failed.append((label, (status or "no status").lower()))


def bazel_test(options, patterns, counts, environment=None):
    with tempfile.TemporaryDirectory() as temp:
        events = os.path.join(temp, "events.json")
        command = ["bazel", "test", "--keep_going", "--test_summary=terse", "--show_result=0"]
        command += ["--build_event_json_file=" + events]
        if not sys.stderr.isatty():
            command += ["--show_progress_rate_limit=30"]
        before = len(counts.failed)
        env = {**os.environ, **(environment or {})}
        status = subprocess.call(command + options + ["--"] + patterns, cwd=ROOT, env=env, stdin=subprocess.DEVNULL)
        if os.path.exists(events):
            with open(events) as lines:
                count_events(lines, counts)
        if status != 0 and len(counts.failed) == before:
            reason = "no test matches" if status == 4 else "exit status %d" % status
            counts.failed.append(("bazel test " + " ".join(patterns), reason))


def windows_tools():
    """Why the tests for Windows cannot run on this machine; None if they can."""
    if os.uname().machine != "x86_64":
        return "Wine runs programs for x86-64 on such machines only, and this is %s" % os.uname().machine
    for path in (MINGW, WINE, WINE_SERVER):
        if not os.path.exists(path):
            return "%s is missing: tools/setup windows installs it" % path
    return None


def windows(options, counts):
    """The tests with the tag "windows", built for Windows and run under Wine, in a prefix that is made for them."""
    missing = windows_tools()
    if missing is not None:
        counts.skipped.append(("tools/test windows", missing))
        return
    query = ["bazel", "query", "--noshow_progress", "attr(tags, '[\\[ ]windows[,\\]]', tests(//...))"]
    labels = subprocess.run(query, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True).stdout.split()
    if not labels:
        counts.failed.append(("tools/test windows", "bazel query finds no tests"))
        return
    with tempfile.TemporaryDirectory(prefix="brood-wine-") as temp:
        if not start_wine(temp):
            counts.failed.append(("tools/test windows", "wineboot cannot make a prefix"))
            return
        try:
            bazel_test(WINDOWS + options, labels, counts, {"WINEPREFIX": temp})
        finally:
            # The server that was started for this prefix, and all that runs in it.
            subprocess.call([WINE_SERVER, "-k"], env=wine_environment(temp), stderr=subprocess.DEVNULL)
            subprocess.call([WINE_SERVER, "-w"], env=wine_environment(temp), stderr=subprocess.DEVNULL)


def wine_environment(prefix):
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    environment.update(WINEPREFIX=prefix, WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=;winedbg.exe=d")
    return environment


def start_wine(prefix):
    """Makes a prefix and starts its server, which else would end with each test and be started by the next."""
    nothing = subprocess.DEVNULL
    quiet = {"env": wine_environment(prefix), "stdin": nothing, "stdout": nothing, "stderr": nothing}
    # A new prefix says that it is Windows 7; brood is for 10.
    version = [WINE, "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"]
    commands = [[WINE_SERVER, "-p"], [WINE, "wineboot", "-i"], version]
    try:
        return all(subprocess.call(command, timeout=300, **quiet) == 0 for command in commands)
    except subprocess.TimeoutExpired:
        return False


def lint(counts):
    tools = [
        (["tools/buildifier"], "buildifier: see above; tools/buildifier -mode=fix mends what it can"),
        ([sys.executable, "tools/portable_lint.py"], "portable_lint: see above; Windows builds these sources, too"),
    ]
    for command, failure in tools:
        if subprocess.call(command, cwd=ROOT) == 0:
            counts.passed += 1
        else:
            counts.failed.append(("lint", failure))


def main():
    arguments = sys.argv[1:]
    options = [a for a in arguments if a.startswith("--")]
    names = [a for a in arguments if not a.startswith("--")]
    patterns = [p for n in names if n not in ("lint", "sanitize", "windows") for p in GROUPS.get(n, [n])]

    counts = Counts()
    if not names or "lint" in names or "all" in names:
        lint(counts)
    if "guest" in names:
        options += ["--test_env=BROOD_GUEST_KERNEL", "--test_env=BROOD_GUEST_CASES", "--nocache_test_results"]
    if not names or patterns:
        bazel_test(options, patterns or EVERYTHING, counts)
    if not names or "windows" in names or "all" in names:
        windows(options, counts)
    if "sanitize" in names or "all" in names:
        bazel_test(["--config=sanitize"] + options, UNIT, counts)
    for title, cases in (("skipped", counts.skipped), ("failed", counts.failed)):
        for name, reason in cases:
            print("%s: %s: %s" % (title, name, reason))
    print("%d passed, %d failed, %d skipped" % (counts.passed, len(counts.failed), len(counts.skipped)), flush=True)
    sys.exit(1 if counts.failed else 0)


if __name__ == "__main__":
    main()
