// What `brood run` isolates with nothing asked for, as the table of docs/sandbox.md says it: seen from inside.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class IsolationTest : public LayersTest {
 protected:
  PlainRun Script(const std::string& script, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"run", "--policy", GetParam()});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return Brood(options);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, IsolationTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(IsolationTest, EachNamespaceButTheClocksIsItsOwn) {
  const std::string script = "for n in user pid mnt net ipc uts cgroup; do readlink /proc/self/ns/$n; done";
  const std::vector<std::string> outside = absl::StrSplit(RunPlain({"sh", "-c", script}).out, '\n', absl::SkipEmpty());
  const PlainRun run = Script(script);
  const std::vector<std::string> inside = absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(outside.size(), 7u);
  ASSERT_EQ(inside.size(), 7u) << run.err;
  for (size_t i = 0; i < inside.size(); ++i) EXPECT_NE(inside[i], outside[i]);
  EXPECT_EQ(Script("readlink /proc/self/ns/time").out, RunPlain({"readlink", "/proc/self/ns/time"}).out);
}

TEST_P(IsolationTest, TheOnlyInterfaceIsItsOwnLoopback) {
  EXPECT_EQ(Script("tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' '").out, "lo\n");
}

TEST_P(IsolationTest, TheRootHasWhatThePolicyListsAndNothingElse) {
  const std::set<std::string> listed = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp", "usr"};
  const PlainRun run = Script("ls -A /; ls -A /tmp");
  const std::vector<std::string> names = absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  EXPECT_FALSE(names.empty()) << run.err;
  for (const std::string& name : names) EXPECT_EQ(listed.count(name), 1u) << name;
}

// All of the machine, so that there are submounts.
TEST_P(IsolationTest, WhatIsMountedInWhatIsShownIsReadOnlyToo) {
  const PlainRun run = Script("grep ' /host' /proc/self/mountinfo | cut -d' ' -f6", {"--ro", "/:/host"});
  const std::vector<std::string> mounts = absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  EXPECT_GT(mounts.size(), 1u) << "without a submount the test proves nothing" << run.err;
  for (const std::string& flags : mounts) {
    const std::vector<std::string_view> words = absl::StrSplit(flags, ',');
    for (const std::string_view word : {"ro", "nosuid", "nodev"}) EXPECT_NE(std::find(words.begin(), words.end(), word), words.end()) << flags;
  }
}

TEST_P(IsolationTest, AFileInASubmountIsNotWritten) {
  if (!IsRoot()) GTEST_SKIP() << "takes root to mount; the flags are seen by WhatIsMountedInWhatIsShownIsReadOnlyToo";
  const std::string script = absl::StrCat("cd $0 && mkdir mem && mount -t tmpfs mem mem && echo kept >mem/file && chmod 666 mem/file && '", BroodPath(), "' run --policy ",
                                          GetParam(), " --ro .:/shown -- sh -c 'cat /shown/mem/file; echo x >/shown/mem/file; echo x >/shown/mem/new'; cat mem/*");
  const PlainRun run = RunPlain({"unshare", "-m", "sh", "-c", script, directory_.path()});
  EXPECT_EQ(run.out, "kept\nkept\n") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "/shown/mem/new: Read-only file system")) << run.err;
}

// As systemd has it, all mounts of a machine are shared.
TEST_P(IsolationTest, NoMountTravelsOutOrIn) {
  std::vector<std::string> command = {"unshare", "--mount", "--propagation", "private"};
  if (!IsRoot()) command.insert(command.end(), {"--user", "--map-root-user"});
  const std::string script = absl::StrCat("cd $0 && mkdir mem && mount -t tmpfs mem mem && mount --make-shared mem && mkdir -m 755 mem/sub && touch mem/sub/file && '", BroodPath(),
                                          "' run --policy ", GetParam(), " --ro ./mem:/shown --tmpfs /shown/sub -- sh -c 'grep \" /shown \" /proc/self/mountinfo | cut -d\" \" -f7'; ls mem/sub");
  command.insert(command.end(), {"sh", "-c", script, directory_.path()});
  const PlainRun run = RunPlain(command);
  EXPECT_EQ(run.out, "-\nfile\n") << run.err;
}

// By an earlier child: it would cover what it likes of the next one's root.
TEST_P(IsolationTest, NothingIsMountedOrMadeBehindAPlantedLink) {
  const std::string script = absl::StrCat("cd $0 && mkdir work given && chmod 777 work && ln -s /etc work/link && ln -s ../etc/../usr work/far && ln -s link work/twice && touch given/file && for o in "
                                          "'--tmpfs /shown/link' '--tmpfs /shown/link/new' '--ro ./given:/shown/far' '--ro ./given:/shown/twice/x/y' '--ro ./given/file:/shown/link/passwd' "
                                          "'--rw ./given:/shown/link' '--symlink a:/shown/link/new' '--dir /shown/twice/new' '--overlay /usr/share:/shown/far'; do '", BroodPath(), "' run --policy ",
                                          GetParam(), " --rw ./work:/shown $o -- true; echo $?; done");
  const PlainRun run = RunPlain({"sh", "-c", script, directory_.path()});
  EXPECT_EQ(run.out, "125\n125\n125\n125\n125\n125\n125\n125\n125\n") << run.err;
  std::vector<std::string> told = absl::StrSplit(run.err, '\n', absl::SkipEmpty());
  EXPECT_EQ(told.size(), 9u) << run.err;
  for (const std::string& line : told) EXPECT_TRUE(absl::StrContains(line, "a link, in what may be written to, is on the way to")) << line;
}

TEST_P(IsolationTest, ASwapAtThePlaceOfAMountLeadsToNoOther) {
  // Most find the place gone, or a link, and run nothing: until one has run at least.
  const std::string script = absl::StrCat("cd $0 && mkdir -p work/d given && chmod 777 work && "
                                          "{ while test ! -e stop; do mv work/d work/e; ln -s /usr/share work/d; rm work/d; mv work/e work/d; done & } && i=0; touch tried; while test $i -lt 40 || { test ! -s tried && test $i -lt 1000; }; do i=$((i+1)); '", BroodPath(),
                                          "' run --policy ", GetParam(), " --rw ./work:/shown --rw ./given:/shown/d -- sed -n 's|.*/given \\([^ ]*\\) .*|\\1|p' /proc/self/mountinfo >>tried; done; touch stop; wait; cat tried");
  const PlainRun run = RunPlain({"sh", "-c", script, directory_.path()});
  for (const std::string_view place : absl::StrSplit(run.out, '\n', absl::SkipEmpty())) {
    // Once mounted it goes where its directory goes.
    EXPECT_TRUE(place == "/shown/d" || place == "/shown/e") << place;
  }
  EXPECT_NE(run.out, "") << "nothing was tried" << run.err;
}

// Of the caller's: in what is read-only, and one that it asked for.
TEST_P(IsolationTest, OtherLinksLeadToThePlaceOfAMount) {
  const std::string script = absl::StrCat("cd $0 && mkdir shown && ln -s ../room/./inner shown/link && '", BroodPath(), "' run --policy ", GetParam(),
                                          " --ro ./shown:/shown --tmpfs /room --dir /room/inner --symlink /shown/link:/first --tmpfs /first/deep -- sh -c 'grep -c \" /room/inner/deep \" /proc/self/mountinfo'");
  const PlainRun run = RunPlain({"sh", "-c", script, directory_.path()});
  EXPECT_EQ(run.out, "1\n") << run.err;
}

// The kernel gives up on a ".." when anything is renamed meanwhile, anywhere.
TEST_P(IsolationTest, RenamesElsewhereFailNoLaunch) {
  const std::string script = absl::StrCat("cd $0 && mkdir shown moved && ln -s ../room/./inner shown/link && "
                                          "{ while test ! -e stop; do mv moved away; mv away moved; done & } && for i in $(seq 30); do '", BroodPath(), "' run --policy ", GetParam(),
                                          " --ro ./shown:/shown --tmpfs /room --dir /room/inner --symlink /shown/link:/first --tmpfs /first/deep -- echo ran; done; touch stop; wait");
  const PlainRun run = RunPlain({"sh", "-c", script, directory_.path()});
  const std::vector<std::string> ran = absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  EXPECT_EQ(ran.size(), 30u) << run.err;
}

// /lib is one, on machines with a /usr of all.
TEST(AllShownTest, TheMachinesOwnLinksLeadToThePlaceOfAMount) {
  TemporaryDirectory directory;
  const std::string script = absl::StrCat("cd $0 && echo other >file && '", BroodPath(), "' run --policy strict --rw /:/ --ro ./file:/lib/os-release -- cat /lib/os-release");
  const PlainRun run = RunPlain({"sh", "-c", script, directory.path()});
  EXPECT_EQ(run.out, "other\n") << run.err;
}

// As where nothing is mounted there but what a container needs.
TEST_P(IsolationTest, AllOfAMachineIsShownWithADevOfItsOwnWhateverThatOfTheMachineLacks) {
  const std::string own = std::string_view(GetParam()) == "default" ? "mqueue\n" : "";
  const std::string expected = absl::StrCat("fd\nfull\n", own, "null\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n0\n");
  const std::string script = "ls -A /dev; echo x >/dev/shm/x && wc -c </dev/null";
  const PlainRun run = Script(script, {"--ro", "/:/"});
  EXPECT_EQ(run.out, expected) << run.err;
  if (!IsRoot()) return;
  const std::string few = absl::StrCat("mount -t tmpfs few /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5 && mknod -m 666 /dev/full c 1 7 && "
                                       "mknod -m 666 /dev/random c 1 8 && mknod -m 666 /dev/urandom c 1 9 && '", BroodPath(), "' run --policy ", GetParam(), " --ro /:/ -- sh -c '", script, "'");
  const PlainRun lacks = RunPlain({"unshare", "--mount", "--propagation", "private", "sh", "-c", few});
  EXPECT_EQ(lacks.out, expected) << lacks.err;
}

TEST_P(IsolationTest, APlaceThatIsMissingInWhatIsShownIsAnErrorWhoseRemediesWork) {
  const std::string directory = directory_.path() + "/given";
  ASSERT_EQ(RunPlain({"mkdir", "-m", "755", directory}).code, 0);
  const PlainRun missing = Script("true", {"--ro", directory + ":/shown", "--tmpfs", "/shown/new"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_TRUE(absl::StrContains(missing.err, "make it there, or show what it is in by --overlay: /shown/new")) << missing.err;
  const PlainRun overlay = Script("echo x >/shown/new/x && echo ran", {"--overlay", directory + ":/shown", "--tmpfs", "/shown/new"});
  EXPECT_EQ(overlay.out, "ran\n") << overlay.err;
  ASSERT_EQ(RunPlain({"mkdir", "-m", "755", directory + "/new"}).code, 0);
  EXPECT_EQ(Script("echo ran", {"--ro", directory + ":/shown", "--tmpfs", "/shown/new"}).out, "ran\n");
}

TEST_P(IsolationTest, ATmpfsHasTheSizeAskedForAndIsEmptyForTheNext) {
  for (int i = 0; i < 2; ++i) {
    const PlainRun run = Script("ls -A /room; head -c 900000 /dev/zero >/room/fits && echo fits; head -c 200000 /dev/zero >/room/more", {"--tmpfs", "/room:1M"});
    EXPECT_EQ(run.out, "fits\n") << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, "No space left on device")) << run.err;
  }
}

TEST_P(IsolationTest, WhatIsCoveredInWhatIsShownIsNotSeen) {
  ASSERT_EQ(mkdir((directory_.path() + "/folder").c_str(), 0755), 0);
  Write(directory_.path() + "/folder/secret", "secret\n");
  Write(directory_.path() + "/file", "secret\n");
  Write(directory_.path() + "/other", "other\n");
  const std::string look = "cat /given/folder/secret /given/file /given/other";
  EXPECT_EQ(Script(look, {"--ro", directory_.path() + ":/given"}).out, "secret\nsecret\nother\n") << "or the test proves nothing";
  EXPECT_EQ(Script(look, {"--ro", directory_.path() + ":/given", "--tmpfs", "/given/folder", "--ro", directory_.path() + "/other:/given/file"}).out, "other\nother\n");
  const PlainRun null = Script(look, {"--ro", directory_.path() + ":/given", "--tmpfs", "/given/folder", "--ro", "/dev/null:/given/file"});
  EXPECT_EQ(null.out, "other\n");
  EXPECT_TRUE(absl::StrContains(null.err, "/given/file: Permission denied")) << null.err;
}

TEST_P(IsolationTest, DevHasWhatProgramsNeedAndNothingElse) {
  const std::string own = std::string_view(GetParam()) == "default" ? "mqueue\n" : "";
  const PlainRun run = Script("ls -A /dev; head -c 2 /dev/zero | od -An -tu1; cat /dev/null; head -c 3 /dev/urandom | wc -c; head -c 3 /dev/random | wc -c; "
                              "echo x 2>/dev/null >/dev/full || echo full; readlink /dev/stdout; echo x | cat /dev/stdin; ls -A /dev/shm");
  EXPECT_EQ(run.out, absl::StrCat("fd\nfull\n", own, "null\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n   0   0\n3\n3\nfull\n/proc/self/fd/1\nx\n")) << run.err;
}

// Fields 6 and 7: 0 stands for a session outside of the pid namespace, and for no terminal. proc(5), /proc/pid/stat
TEST_P(IsolationTest, TheSessionIsItsOwnAndHasNoTerminal) {
  const PlainRun run = Script("cut -d' ' -f6 /proc/self/stat; cut -d' ' -f7 /proc/self/stat");
  EXPECT_TRUE(absl::EndsWith(run.out, "\n0\n")) << run.out << run.err;
  EXPECT_FALSE(absl::StartsWith(run.out, "0\n")) << run.out;
}

TEST_P(IsolationTest, AnOrphanThatEndsIsReaped) {
  const PlainRun run = Script("p=$( (sh -c 'echo $$' & ) ); test -n \"$p\" || exit 3; i=0; while test -d /proc/$p && test $i -lt 1000; do i=$((i+1)); sleep 0.01; done; "
                              "test -d /proc/$p && cat /proc/$p/stat || echo reaped");
  EXPECT_EQ(run.out, "reaped\n") << run.err;
}

TEST_P(IsolationTest, HostNameVariablesAndDirectoryAreThoseAskedFor) {
  EXPECT_EQ(Script("uname -n; pwd").out, "brood\n/\n");
  EXPECT_EQ(Script("uname -n; pwd; echo $A", {"--hostname", "inside", "--cwd", "/usr/share", "--env", "A=b c"}).out, "inside\n/usr/share\nb c\n");
}

}  // namespace
}  // namespace brood
