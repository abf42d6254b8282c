// `brood run --overlay-kept`: a writable view of a directory whose changes are kept in another.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class OverlayKeptTest : public LayersTest {
 protected:
  void SetUp() override {
    lower_ = directory_.path() + "/lower";
    changes_ = directory_.path() + "/changes";
    for (const std::string& directory : {lower_, lower_ + "/folder", changes_}) ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
    Write(lower_ + "/file", "as it was");
    Write(lower_ + "/gone", "as it was");
    Write(lower_ + "/folder/below", "as it was");
    const std::string probe = directory_.path() + "/probe";
    ASSERT_EQ(mkdir(probe.c_str(), 0755), 0);
    const PlainRun probed = Brood(Args(probe + ":" + lower_ + ":/view", "true"));
    if (absl::StrContains(probed.err, "the kernel has no overlayfs")) GTEST_SKIP() << probed.err;
    // As user of the file system, not as a check of what is tested.
    if (setxattr(changes_.c_str(), "user.test", "y", 1, 0) != 0 && errno == EOPNOTSUPP) {
      const PlainRun run = Script("echo ran");
      EXPECT_EQ(run.code, 125);
      EXPECT_TRUE(absl::StrContains(run.err, "no changes of an overlay can be kept on a file system without user attributes")) << run.err;
      GTEST_SKIP() << "the temporary directory is on a file system without user attributes";
    }
  }
  std::vector<std::string> Args(const std::string& rule, const std::string& script, std::vector<std::string> options = {}) {
    std::vector<std::string> args = {"run", "--policy", GetParam(), "--overlay-kept", rule, "--result", Result()};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", script});
    return args;
  }
  // A shell in a sandbox that shows the directory at /view.
  PlainRun Script(const std::string& script, std::vector<std::string> options = {}) {
    return Brood(Args(changes_ + ":" + lower_ + ":/view", script, std::move(options)));
  }
  std::string Lower() const { return RunPlain({"sh", "-c", "cd $0 && grep -r . . | sort; stat -c '%n %a %u' * .", lower_}).out; }

  std::string lower_;
  std::string changes_;
};
INSTANTIATE_TEST_SUITE_P(Policies, OverlayKeptTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(OverlayKeptTest, WhatIsChangedIsThereForTheNextAndNotInTheDirectory) {
  const std::string before = Lower();
  const PlainRun first = Script("cd /view && cat file && echo changed >file && rm gone && echo new >made && rm -r folder && mkdir folder && echo x >folder/other");
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, "as it was");
  EXPECT_EQ(Lower(), before);
  const PlainRun second = Script("cd /view && ls . folder && cat file made && echo more >>file && rm made");
  EXPECT_EQ(second.out, ".:\nfile\nfolder\nmade\n\nfolder:\nother\nchanged\nnew\n") << second.err;
  const PlainRun third = Script("cd /view && ls && cat file");
  EXPECT_EQ(third.out, "file\nfolder\nchanged\nmore\n") << third.err;
  EXPECT_EQ(Lower(), before);
}

TEST_P(OverlayKeptTest, ChangesBelongToTheCaller) {
  ASSERT_EQ(Script("cd /view && echo new >made && echo changed >file").code, 0);
  EXPECT_EQ(FileContent(changes_ + "/upper/made"), "new\n");
  EXPECT_EQ(FileContent(changes_ + "/upper/file"), "changed\n");
  for (const char* name : {"/upper", "/upper/made", "/upper/file"}) {
    struct stat about = {};
    ASSERT_EQ(stat((changes_ + name).c_str(), &about), 0) << name;
    EXPECT_EQ(about.st_uid, geteuid()) << name;
  }
  EXPECT_EQ(RunPlain({"rm", "-r", changes_}).code, 0);
}

TEST_P(OverlayKeptTest, OnlyTheViewIsSeen) {
  const PlainRun run = Script("ls /view; ls " + directory_.path() + " /lower /changes /upper /work /view/../work 2>/dev/null; "
                              "grep ' /view ' /proc/self/mountinfo | cut -d' ' -f6; ls /proc/self/fd | wc -l");
  EXPECT_EQ(run.out, "file\nfolder\ngone\nrw,nosuid,nodev,relatime\n4\n") << run.err;
}

TEST_P(OverlayKeptTest, TwoAtOnceAreRefused) {
  const std::string started = directory_.path() + "/started";
  ASSERT_EQ(mkfifo(started.c_str(), 0666), 0);
  const std::string out = directory_.path() + "/out";
  PlainRun other;
  // Its standard input is the FIFO's other end, for which it waits.
  const std::string command = absl::StrCat("exec '", BroodPath(), "' run --policy ", GetParam(), " --overlay-kept ", changes_, ":", lower_,
                                           ":/view -- sh -c 'echo here; cat' <", started, " >", out);
  std::thread first([&] { other = RunPlain({"sh", "-c", command}); });
  const int end = open(started.c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_GE(end, 0);
  EXPECT_TRUE(WaitFor([&] { return FileContent(out) == "here\n"; }));
  const PlainRun second = Script("echo ran");
  EXPECT_EQ(second.code, 125);
  EXPECT_TRUE(absl::StrContains(second.err, "another child keeps the changes of its overlay there: " + changes_)) << second.err;
  EXPECT_EQ(second.out, "");
  close(end);
  first.join();
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(Script("echo ran").out, "ran\n");
}

TEST_P(OverlayKeptTest, APlantedLinkIsNotFollowed) {
  const std::string outside = directory_.path() + "/outside";
  ASSERT_EQ(mkdir(outside.c_str(), 0777), 0);
  for (const char* name : {"/upper", "/work"}) {
    ASSERT_EQ(RunPlain({"sh", "-c", "rm -rf $0/*", changes_}).code, 0);
    ASSERT_EQ(symlink(outside.c_str(), (changes_ + name).c_str()), 0);
    const PlainRun run = Script("echo x >/view/planted; echo ran");
    EXPECT_EQ(run.code, 125) << run.out;
    EXPECT_EQ(run.out, "");
    EXPECT_EQ(RunPlain({"ls", outside}).out, "");
  }
}

TEST_P(OverlayKeptTest, WhatThereCannotBeIsRefused) {
  const auto error = [&](const std::string& rule, std::vector<std::string> options = {}) {
    const PlainRun run = Brood(Args(rule, "echo ran", std::move(options)));
    EXPECT_EQ(run.code, 125) << run.out;
    EXPECT_EQ(run.out, "");
    return run.err;
  };
  EXPECT_TRUE(absl::StrContains(error(lower_), "expected CHANGES:SRC[:DEST], got"));
  EXPECT_TRUE(absl::StrContains(error(changes_ + "/missing:" + lower_), "files: changes " + changes_ + "/missing: ENOENT"));
  EXPECT_TRUE(absl::StrContains(error(lower_ + "/file:" + lower_ + ":/view"), "as a directory for the changes of an overlay, " + lower_ + "/file"));
  // What is kept has no bound.
  EXPECT_TRUE(absl::StrContains(error(changes_ + ":" + lower_ + ":/view", {"--disk", "10M"}), "/view is writable on the host"));
  const std::string rule = absl::StrCat("\"files\": [{\"overlay\": \"", lower_, "\", \"changes\": \"");
  EXPECT_TRUE(absl::StrContains(Run(rule + "here\"}]", {"does_nothing"}).err, "field \"files[0]\": changes: expected the absolute path of a directory"));
  EXPECT_TRUE(absl::StrContains(Run(rule + changes_ + "\", \"size\": \"1M\"}]", {"does_nothing"}).err, "give one of both"));
  EXPECT_TRUE(absl::StrContains(Run(absl::StrCat("\"files\": [{\"path\": \"", lower_, "\", \"changes\": \"", changes_, "\"}]"), {"does_nothing"}).err,
                                "\"changes\" goes with \"overlay\" only"));
}

TEST_P(OverlayKeptTest, ADirectoryOfAnotherStaysUnchanged) {
  const std::string other = directory_.path() + "/other";
  ASSERT_EQ(mkdir(other.c_str(), 0755), 0);
  if (IsRoot()) GTEST_SKIP() << "root may write everywhere; the same test runs for nobody";
  const PlainRun run = Brood(Args("/usr/share:" + lower_ + ":/view", "echo ran"));
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "make the directories of the overlay on /view")) << run.err;
}

TEST_P(OverlayKeptTest, IsExplained) {
  const PlainRun run = Brood({"policy", "explain", With(absl::StrCat("\"files\": [{\"overlay\": \"", lower_, "\", \"at\": \"/view\", \"changes\": \"/here\"}]"))[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "changes are kept")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, lower_ + " at /view (in /here)")) << run.out;
}

}  // namespace
}  // namespace brood
