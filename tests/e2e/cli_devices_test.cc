// `brood run --device`: devices of the host that a program may use as such.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class DeviceTest : public LayersTest {
 protected:
  PlainRun Script(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), {"run", "--policy", GetParam(), "--result", Result(), "--env", "LC_ALL=C"});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return Brood(options);
  }
  std::string Refused(const std::string& device) {
    const PlainRun run = Script({"--device", device}, "echo ran");
    EXPECT_EQ(run.code, 125) << run.out;
    EXPECT_EQ(run.out, "");
    return run.err;
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, DeviceTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(DeviceTest, IsUsedWhereItIsNamedAndIsNoneWhereItIsOnlyShown) {
  const std::string script = "head -c 3 /given | od -An -tu1; echo x >/given";
  const PlainRun named = Script({"--device", "/dev/zero:/given"}, script);
  EXPECT_EQ(named.out, "   0   0   0\n") << named.err;
  EXPECT_EQ(named.code, 0) << named.err;
  for (const char* access : {"--ro", "--rw"}) {
    const PlainRun shown = Script({access, "/dev/zero:/given"}, script);
    EXPECT_EQ(shown.out, "") << access;
    EXPECT_TRUE(shown.code == 125 || absl::StrContains(shown.err, "Permission denied")) << shown.err;
  }
}

// In mountinfo: those of the minimal /dev, and this one.
TEST_P(DeviceTest, ItsMountAloneIsWithoutNodev) {
  const std::string list = "grep -v nodev /proc/self/mountinfo | cut -d' ' -f5,6 | sort";
  const std::string before = Script({}, list).out;
  const PlainRun run = Script({"--device", "/dev/full:/given", "--ro", directory_.path() + ":/other"}, list);
  std::string without;
  std::string given;
  for (size_t begin = 0; begin < run.out.size();) {
    const size_t end = run.out.find('\n', begin) + 1;
    const std::string line = run.out.substr(begin, end - begin);
    (absl::StartsWith(line, "/given ") ? given : without) += line;
    begin = end;
  }
  EXPECT_EQ(without, before) << run.err;
  EXPECT_EQ(given, "/given ro,nosuid,noexec,relatime\n") << run.out;
}

// A line whose device is the caller's own.
class LineTest : public DeviceTest {
 protected:
  void SetUp() override {
    end_ = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!end_.valid() || grantpt(end_.get()) != 0 || unlockpt(end_.get()) != 0) GTEST_SKIP() << "no terminal can be made here";
    name_ = ptsname(end_.get());
    // As root's child, a stranger.
    ASSERT_EQ(chmod(name_.c_str(), 0666), 0);
  }
  UniqueFd end_;
  std::string name_;
};
INSTANTIATE_TEST_SUITE_P(Policies, LineTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(LineTest, IsWrittenToAndControlled) {
  const PlainRun run = Script({"--device", name_ + ":/dev/line"}, "stty -F /dev/line -echo rows 7 cols 9 && stty -F /dev/line size && printf over >/dev/line");
  EXPECT_EQ(run.out, "7 9\n") << run.err;
  char text[16] = {};
  EXPECT_EQ(read(end_.get(), text, sizeof(text) - 1), 4) << run.err;
  EXPECT_STREQ(text, "over");
}

TEST_P(LineTest, ItsModeOwnerAndTimesStayThoseOfTheCaller) {
  struct stat before = {};
  ASSERT_EQ(stat(name_.c_str(), &before), 0);
  const PlainRun run = Script({"--device", name_ + ":/dev/line"}, "chmod 600 /dev/line; touch -d 2001-01-01 /dev/line; rm /dev/line; mv /dev/line /tmp; echo end");
  EXPECT_EQ(run.out, "end\n");
  struct stat after = {};
  ASSERT_EQ(stat(name_.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_TRUE(absl::StrContains(run.err, "Read-only file system")) << run.err;
}

// TIOCSTI, of which the filter knows whatever device it is for.
TEST_P(LineTest, WhatTheFilterRefusesStaysRefused) {
  const std::string type = "perl -e 'open(my $line, \"+<\", \"/dev/line\") or die \"open: $!\"; ioctl($line, 0x5412, my $key = \"x\"); print \"typed\\n\"'";
  const PlainRun run = Script({"--device", name_ + ":/dev/line"}, type);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, "system call ioctl (")) << run.err;
}

// Landlock has a right for it, of each path.
TEST_P(DeviceTest, IoctlIsForThoseThatAreNamed) {
  const PlainRun run = Script({"--device", "/dev/zero:/dev/given"}, "stty -F /dev/given; stty -F /dev/full");
  if (!absl::StrContains(FileContent(Result()), "ioctl of devices") || absl::StrContains(FileContent(Result()), "not ioctl of devices")) {
    GTEST_SKIP() << "this kernel's Landlock has no right for ioctl";
  }
  EXPECT_TRUE(absl::StrContains(run.err, "/dev/given: Inappropriate ioctl for device") ||
              absl::StrContains(run.err, "'/dev/given': Inappropriate ioctl for device")) << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "/dev/full: Permission denied") || absl::StrContains(run.err, "'/dev/full': Permission denied")) << run.err;
}

// The caller's own, of a mode that is for the caller alone: root makes one where it sees it alone.
TEST_P(DeviceTest, OfRootAloneIsTheChildsWhereItsFileSystemCanBeMapped) {
  if (!IsRoot()) GTEST_SKIP() << "only root makes devices";
  const std::string script = absl::StrCat("cd $0 && mkdir mem dev && mount -t tmpfs mem mem && mknod -m 600 mem/zero c 1 5 && '", BroodPath(), "' run --policy ", GetParam(),
                                          " --device mem/zero:/given -- sh -c 'stat -c %a,%u /given; head -c 2 /given | od -An -tu1'");
  const PlainRun run = RunPlain({"unshare", "-m", "sh", "-c", script, directory_.path()});
  if (absl::StrContains(run.err, "mknod")) GTEST_SKIP() << "no device can be made here: " << run.err;
  EXPECT_EQ(run.out, "600,1000\n   0   0\n") << run.err;
}

TEST_P(DeviceTest, OfRootAloneIsRefusedWithTheRemedyWhereItCannot) {
  if (!IsRoot()) GTEST_SKIP() << "for others the permissions are their own";
  const std::string device = RunPlain({"sh", "-c", "stat -f -c %T /dev | grep -q tmpfs && find /dev -maxdepth 1 -type c -perm 600 | head -n 1 | tr -d '\\n'"}).out;
  if (device.empty()) GTEST_SKIP() << "there is none in /dev";
  const std::string told = Refused(device);
  EXPECT_TRUE(absl::StrContains(told, "not everybody may open this device, and its file system cannot be id-mapped")) << told;
  EXPECT_TRUE(absl::StrContains(told, "by mknod(1): " + device)) << told;
}

TEST_P(DeviceTest, ADirectoryOfThemIsShownAsOne) {
  const UniqueFd end(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!end.valid() || grantpt(end.get()) != 0 || unlockpt(end.get()) != 0) GTEST_SKIP() << "no terminal can be made here";
  const std::string name = ptsname(end.get());
  ASSERT_EQ(chmod(name.c_str(), 0666), 0);
  if (!absl::StartsWith(name, "/dev/pts/")) GTEST_SKIP() << "terminals are elsewhere here: " << name;
  const PlainRun run = Script({"--device", "/dev/pts:/lines"}, "cd /lines && printf through >" + name.substr(9) + "; touch made; echo $?; grep ' /lines ' /proc/self/mountinfo | cut -d' ' -f6");
  EXPECT_EQ(run.out, "1\nro,nosuid,noexec,relatime\n") << run.err;
  char text[16] = {};
  EXPECT_EQ(read(end.get(), text, sizeof(text) - 1), 7) << run.err;
  EXPECT_STREQ(text, "through");
}

TEST_P(DeviceTest, WhatIsNoDeviceIsRefused) {
  Write(directory_.path() + "/file", "x");
  ASSERT_EQ(mkfifo((directory_.path() + "/fifo").c_str(), 0666), 0);
  ASSERT_EQ(mkdir((directory_.path() + "/folder").c_str(), 0755), 0);
  ASSERT_EQ(mkdir((directory_.path() + "/folder/deep").c_str(), 0755), 0);
  Write(directory_.path() + "/folder/deep/file", "x");
  ASSERT_EQ(symlink((directory_.path() + "/file").c_str(), (directory_.path() + "/link").c_str()), 0);
  for (const char* name : {"/file", "/fifo", "/link"}) {
    EXPECT_TRUE(absl::StrContains(Refused(directory_.path() + name), "it is none; show files by --ro or --rw")) << name;
  }
  EXPECT_TRUE(absl::StrContains(Refused(directory_.path() + "/folder"), "not all in it are devices: " + directory_.path() + "/folder/deep/file"));
  for (const char* all : {"/dev:/d", "/:/d"}) {
    EXPECT_TRUE(absl::StrContains(Refused(all), "that would be all devices of the machine")) << all;
  }
  EXPECT_TRUE(absl::StrContains(Refused("/dev/missing"), "files: path /dev/missing: ENOENT"));
  EXPECT_TRUE(absl::StrContains(Refused("/dev/null:/"), "a device at / would hide everything"));
  const auto file = [&](const std::string& rule) { return Run(absl::StrCat("\"files\": [", rule, "]"), {"does_nothing"}).err; };
  EXPECT_TRUE(absl::StrContains(file("{\"path\": \"/dev/full\", \"access\": \"devices\"}"), "unknown word \"devices\"; there are ro, rw, device"));
  EXPECT_TRUE(absl::StrContains(file("{\"tmpfs\": \"/dev/full\", \"access\": \"device\"}"), "\"optional\" and \"access\" do not go with"));
  EXPECT_TRUE(absl::StrContains(file("{\"overlay\": \"/dev\", \"access\": \"device\"}"), "\"access\" of an overlay is \"ro\" or \"rw\""));
}

TEST_P(DeviceTest, AFileSaysItTooAndItIsExplained) {
  const PlainRun run = Run("\"files\": [{\"path\": \"/dev/full\", \"at\": \"/dev/given\", \"access\": \"device\"}, "
                           "{\"path\": \"/dev/missing\", \"access\": \"device\", \"optional\": true}]", {"does_nothing"});
  EXPECT_EQ(run.code, 0) << run.err;
  const PlainRun explained = Brood({"policy", "explain", directory_.path() + "/policy.json"});
  EXPECT_TRUE(absl::StrContains(explained.out, "  devices             /dev/full at /dev/given, /dev/missing (if it is there)\n")) << explained.out;
  EXPECT_TRUE(absl::StrContains(explained.out, "by every ioctl that the system calls below let through")) << explained.out;
}

TEST_P(DeviceTest, AJobSaysItToo) {
  Write(directory_.path() + "/jobs", "{\"argv\":[\"sh\",\"-c\",\"head -c 1 /given | od -An -tu1\"],\"device\":[\"/dev/zero:/given\"]}\n");
  const PlainRun run = Brood({"batch", "--policy", GetParam(), directory_.path() + "/jobs"});
  EXPECT_TRUE(absl::StrContains(run.out, "\"text\":\"   0\\n\"")) << run.out << run.err;
}

}  // namespace
}  // namespace brood
