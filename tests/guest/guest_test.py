#!/usr/bin/env python3
"""Runs the tests of sandboxes where cgroup v2 has all controllers: in a guest, from every place that a caller can have.

Run by tools/test guest, which sets BROOD_GUEST_KERNEL. BROOD_GUEST_CASES="PLACE/TEST PLACE ..." runs only those. Its
test.xml has the cases of all the test programs, each named for its place.
"""

import os
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True  # The file may stand in the source tree.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import guest  # noqa: E402

PATIENCE_SECONDS = 2100

SANDBOX = ["escape_test", "inheritance_test", "limits_test", "signals_test", "tree_test"]
# Sandboxes that are kept, whose children have a group each.
SLOTS = ["launcher/slot_test", "launcher/fresh_slot_test", "launcher/slot_leak_test", "launcher/slot_context_test", "launcher/slot_program_test", "tests/escape/kept_test"]
LAUNCHER = ["launcher/label_test", "launcher/process_test", "launcher/sandbox_test", "launcher/speculation_test"]
# Another kernel's huge pages and mappings; and this machine has swap.
FREEZE = ["forkserver/freeze_test", "forkserver/preload_arena_test", "launcher/frozen_server_test"]
AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
DELEGATE = "; chown 65534 $top $top/cgroup.procs $top/cgroup.subtree_control $top/cgroup.threads"

# Where a caller can stand: the name of the place, how its $group is made, as whom the caller runs, and which tests.
PLACES = [
    # In the root of the hierarchy, which may hold processes and have children.
    ("root", "group=/sys/fs/cgroup", "", ["cgroup2_test", "cli_cpu_set_test", "cli_test"] + SANDBOX + LAUNCHER + SLOTS + FREEZE),
    # As a service or a login session of root: a group that holds the caller, with nothing prepared.
    ("root_scope", "group=/sys/fs/cgroup/scope; mkdir $group", "", ["cgroup2_test"]),
    # Below a group with a limit of its own.
    ("tight", "top=/sys/fs/cgroup/tight; group=$top/own; mkdir -p $group; echo 128M >$top/memory.max; "
     "echo 0 >$top/memory.swap.max", "", ["cgroup2_test"]),
    # As docs/cgroups.md says: a delegated group, and the caller in one below it.
    ("delegated", "top=/sys/fs/cgroup/delegated; group=$top/own; mkdir -p $group" + DELEGATE + "; chown -R 65534 $group",
     AS_NOBODY, ["cgroup2_test", "cli_cpu_set_test", "cli_test", "launcher/label_test"] + SANDBOX + SLOTS + FREEZE),
    # A delegated group that holds nothing but the caller, as systemd-run --user --scope -p Delegate=yes makes it.
    ("alone", "top=/sys/fs/cgroup/alone; group=$top; mkdir $group" + DELEGATE, AS_NOBODY, ["cgroup2_test"]),
    ("threaded", "top=/sys/fs/cgroup/threaded; group=$top/own; mkdir -p $group; echo threaded >$group/cgroup.type"
     + DELEGATE + "; chown -R 65534 $group", AS_NOBODY, ["cgroup2_test"]),
    ("undelegated", "group=/sys/fs/cgroup/undelegated; mkdir $group", AS_NOBODY, ["cgroup2_test", "limits_test", "tree_test"]),
]

INIT = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 TERM=linux
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs run /run
ln -sf /proc/self/fd /dev/fd
exec </dev/null
# The tests of the network want a loopback. netdevice(7), SIOCSIFFLAGS.
python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14s", b"lo", 1, b""))'
echo "{up}"
busybox insmod /overlay.ko
apparmor_parser --skip-cache --replace /runfiles/brood/tests/guest/label_profiles
# The limit of memory must count what is swapped out.
mkswap -q /dev/nvme1n1 && swapon /dev/nvme1n1
echo "+memory +pids +cpu +cpuset +io" >/sys/fs/cgroup/cgroup.subtree_control

run() {{ # PLACE GROUP AS_WHOM TEST
  local out=/out/$1/${{4##*/}}
  mkdir -p "$out"
  chmod 777 "$out"
  local start=$SECONDS shard=
  # An attack takes more than a second here. The same eighth of all each time; all of them are tried outside.
  [[ $4 == */kept_test ]] && shard="GTEST_TOTAL_SHARDS=8 GTEST_SHARD_INDEX=0"
  (
    echo $BASHPID >"$2/cgroup.procs" || exit 125
    cd /tmp
    exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LANG=C.UTF-8 TERM=linux RUNFILES_DIR=/runfiles \\
      BROOD_TEST_PROGRAMS=/runfiles/brood/tests/programs/bin BROOD_TEST_CLI=/runfiles/brood/cli/brood \\
      BROOD_TEST_PLACE="$1" $shard \\
      $3 timeout --kill-after=5 400 "/runfiles/brood/$4" --gtest_color=no --gtest_output="xml:$out/test.xml"
  ) >"$out/log" 2>&1
  echo $? >"$out/status"
  echo "brood-guest: $1 $4: status $(<"$out/status") after $((SECONDS - start)) s"
}}

{runs}
dmesg >/out/dmesg
echo "{done}"
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


def script(places):
    lines = []
    for place, make, as_whom, tests in places:
        lines.append("%s" % make)
        for test in tests:
            path = test if "/" in test else "tests/e2e/" + test
            lines.append("run %s $group '%s' %s" % (place, as_whom, path))
    return INIT.format(up=guest.UP, done=guest.DONE, runs="\n".join(lines))


def collect(results, places, suites):
    """Puts what the guest left into one document. Returns how many test programs did not pass."""
    failed = 0
    for place, _, _, tests in places:
        for test in tests:
            directory = os.path.join(results, "out", place, os.path.basename(test))
            try:
                with open(os.path.join(directory, "status")) as file:
                    status = file.read().strip()
            except OSError:
                status = "none"
            name = "%s.%s" % (place, os.path.basename(test))
            bad = 0
            xml = os.path.join(directory, "test.xml")
            if os.path.exists(xml) and os.path.getsize(xml) > 0:
                for case in ElementTree.parse(xml).iter("testcase"):
                    case.set("classname", "%s.%s" % (place, case.get("classname")))
                    bad += case.find("failure") is not None
                    suites.append(case)
            if status != "0":
                failed += 1
                with open(os.path.join(directory, "log"), errors="replace") as file:
                    log = file.read()
                print("==== %s: exit status %s\n%s" % (name, status, log))
                if not bad:
                    case = ElementTree.SubElement(suites, "testcase", classname=name, name="program")
                    last = (log.strip().splitlines() or ["no output"])[-1]
                    ElementTree.SubElement(case, "failure", message="exit status %s: %s" % (status, last))
    return failed


def chosen(places, names):
    """Of `places` what is named: "PLACE" or "PLACE/TEST"; all if nothing is."""
    if not names:
        return places
    some = []
    for place, make, as_whom, tests in places:
        tests = [test for test in tests if place in names or place + "/" + os.path.basename(test) in names]
        if tests:
            some.append((place, make, as_whom, tests))
    return some


def main():
    document = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(document, "testsuite", name="guest")
    places = chosen(PLACES, sys.argv[1:] or os.environ.get("BROOD_GUEST_CASES", "").split())
    status = 0
    start = time.monotonic()
    into = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR") or tempfile.mkdtemp(prefix="brood-guest-out.")
    try:
        kernel = os.environ.get("BROOD_GUEST_KERNEL", "")
        if not os.path.exists(kernel):
            raise guest.Unavailable("no kernel for a guest; tools/test guest fetches one")
        guest.run(kernel, os.environ["TEST_SRCDIR"], script(places), into, PATIENCE_SECONDS)
        status = 1 if collect(into, places, suite) else 0
        print("the guest ran for %.0f s" % (time.monotonic() - start))
    except guest.Unavailable as reason:
        print("skipped: %s" % reason)
        case = ElementTree.SubElement(suite, "testcase", classname="guest", name="boots")
        ElementTree.SubElement(case, "skipped", message=str(reason))
    except RuntimeError as reason:
        print("failed: %s" % reason)
        case = ElementTree.SubElement(suite, "testcase", classname="guest", name="boots")
        ElementTree.SubElement(case, "failure", message=str(reason))
        status = 1
    if "XML_OUTPUT_FILE" in os.environ:
        ElementTree.ElementTree(document).write(os.environ["XML_OUTPUT_FILE"])
    if "TEST_UNDECLARED_OUTPUTS_DIR" not in os.environ:
        print("what the guest left: " + into)
    sys.exit(status)


if __name__ == "__main__":
    main()
