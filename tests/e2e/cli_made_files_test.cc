// `brood run --symlink`, `--dir`, and the like in a policy file: what the root of a child has of its own making.
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

class MadeFilesTest : public LayersTest {
 protected:
  void SetUp() override {
    outside_ = directory_.path() + "/outside";
    ASSERT_EQ(mkdir(outside_.c_str(), 0777), 0);
    ASSERT_EQ(chmod(outside_.c_str(), 0777), 0);
    Write(outside_ + "/secret", "secret");
    Write(directory_.path() + "/file", "a file");
  }
  // A shell in a sandbox with these options.
  PlainRun Script(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), {"run", "--policy", GetParam(), "--result", Result()});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return Brood(options);
  }
  // The error of a launch that there cannot be; nothing has run, and what is outside is as it was.
  std::string Refused(std::vector<std::string> options) {
    const std::string before = Outside();
    const PlainRun run = Script(options, "echo ran");
    EXPECT_EQ(run.code, 125) << run.out << absl::StrCat(options.back());
    EXPECT_EQ(run.out, "");
    EXPECT_EQ(Outside(), before);
    return run.err;
  }
  std::string Outside() const { return RunPlain({"sh", "-c", "cd $0 && stat -c '%n %F %a %s %Y' . * ../file; cat *", outside_}).out; }

  std::string outside_;
};
INSTANTIATE_TEST_SUITE_P(Policies, MadeFilesTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(MadeFilesTest, LinksAndDirectoriesAreThereAsTheOptionsSay) {
  const PlainRun run = Script({"--symlink", "usr/share:/share", "--symlink", "/no:/where:/dangling", "--dir", "/made:0750", "--dir", "/deep/below", "--dir", "/sticky:1777"},
                              "readlink /share /dangling; stat -c '%n %F %a %u' /made /deep /deep/below /sticky; ls /made; test -d /share/ && echo leads");
  EXPECT_EQ(run.out, "usr/share\n/no:/where\n/made directory 750 1000\n/deep directory 755 1000\n/deep/below directory 755 1000\n/sticky directory 1777 1000\nleads\n") << run.err;
  EXPECT_EQ(run.code, 0) << run.err;
}

TEST_P(MadeFilesTest, AFileSaysThemTooAndContentBesides) {
  const PlainRun run = Run("\"files\": [{\"symlink\": \"../etc/app.conf\", \"at\": \"/srv/link\"}, {\"directory\": \"/srv/made\", \"mode\": \"0700\"}, "
                           "{\"content\": \"port = 1\\n\", \"at\": \"/etc/app.conf\"}, {\"content\": \"\", \"at\": \"/etc/empty\", \"mode\": \"0640\"}, "
                           "{\"content\": \"root:x:0:0::/:\\n\", \"at\": \"/etc/passwd\"}, {\"tmpfs\": \"/closed\", \"mode\": \"0700\"}]",
                           {"does_nothing"});
  ASSERT_EQ(run.code, 0) << run.err;
  const PlainRun script = Brood({"run", "--policy", directory_.path() + "/policy.json", "--", "sh", "-c",
                                 "cat /srv/link /etc/passwd; stat -c '%n %A %s' /srv/made /etc/app.conf /etc/empty /closed"});
  EXPECT_EQ(script.out, "port = 1\nroot:x:0:0::/:\n/srv/made drwx------ 40\n/etc/app.conf -r--r--r-- 9\n/etc/empty -rw-r----- 0\n/closed drwx------ 40\n") << script.err;
}

TEST_P(MadeFilesTest, TheModeIsThatOfThePolicyWhateverTheMaskOfTheCaller) {
  for (const char* mask : {"0", "0777"}) {
    const PlainRun run = RunPlain({"sh", "-c", absl::StrCat("umask ", mask, "; exec \"$@\""), "sh", BroodPath(), "run", "--policy", GetParam(), "--dir", "/made:0754", "--dir",
                                   "/usual", "--", "stat", "-c", "%a", "/made", "/usual"});
    EXPECT_EQ(run.out, "754\n755\n") << mask << run.err;
  }
}

TEST_P(MadeFilesTest, NobodyChangesThemInTheRoot) {
  const PlainRun run = Script({"--symlink", "/usr:/link", "--dir", "/made:0777"},
                              "chmod 700 /made; touch /made/x; rm /link; ln -sf /tmp /link; mv /made /other; readlink /link; stat -c %a /made; ls /made; mkdir /new");
  EXPECT_EQ(run.out, "/usr\n777\n") << run.err;
}

TEST_P(MadeFilesTest, InMemoryTheyAreTheChilds) {
  const PlainRun run = Script({"--dir", "/tmp/own:0700", "--symlink", "own:/tmp/link"}, "echo x >/tmp/link/file && cat /tmp/own/file && rm /tmp/link && rm -r /tmp/own && ls /tmp");
  EXPECT_EQ(run.out, "x\n") << run.err;
  EXPECT_EQ(run.code, 0) << run.err;
}

// Whatever a link says, it leads to what is inside, also for those who make the root.
TEST_P(MadeFilesTest, ALinkLeadsNowhereOutside) {
  const std::string ups = "../../../../../../../../..";
  for (const std::string& target : std::vector<std::string>{outside_, ups + outside_, "/proc/self/root" + outside_, "/proc/1/root" + outside_, "/proc/self/cwd",
                                                            "/./" + outside_ + "/../outside"}) {
    const PlainRun run = Script({"--symlink", target + ":/link"}, "cat /link/secret; echo planted >/link/planted; true");
    EXPECT_EQ(run.out, "") << target << run.err;
    EXPECT_EQ(access((outside_ + "/planted").c_str(), F_OK), -1) << target;
    for (const std::vector<std::string>& below : std::vector<std::vector<std::string>>{
             {"--dir", "/link/planted"}, {"--symlink", "x:/link/planted"}, {"--tmpfs", "/link/planted"}, {"--ro", directory_.path() + "/file:/link/planted"},
             {"--tmpfs", "/link"}, {"--ro", directory_.path() + "/file:/link/secret"}}) {
      const std::string before = Outside();
      std::vector<std::string> options = {"--symlink", target + ":/link"};
      options.insert(options.end(), below.begin(), below.end());
      const PlainRun other = Script(options, "cat /link/secret 2>/dev/null; echo");
      EXPECT_NE(other.out, "secret\n") << target << " " << below.back() << other.err;
      EXPECT_EQ(Outside(), before) << target << " " << below.back();
    }
  }
}

// The place is in what is shown of the host: nothing is made there, though root, or its owner, could.
TEST_P(MadeFilesTest, NothingIsMadeInWhatIsShownOfTheHost) {
  for (const std::vector<std::string>& made : std::vector<std::vector<std::string>>{
           {"--dir", "/given/planted"}, {"--symlink", "/usr:/given/planted"}, {"--dir", "/given/deep/planted"}}) {
    for (const char* access : {"--ro", "--rw"}) {
      std::vector<std::string> options = {access, outside_ + ":/given"};
      options.insert(options.end(), made.begin(), made.end());
      EXPECT_TRUE(absl::StrContains(Refused(options), "brood makes nothing outside of its own tmpfs: " + made.back().substr(made.back().find("/given")))) << made.back();
    }
    std::vector<std::string> by_link = {"--rw", outside_ + ":/given", "--symlink", "/given:/link", made[0], made[1]};
    by_link.back().replace(by_link.back().find("/given"), 6, "/link");
    EXPECT_TRUE(absl::StrContains(Refused(by_link), "brood makes nothing outside of its own tmpfs: /link/")) << made.back();
  }
  EXPECT_TRUE(absl::StrContains(Refused({"--dir", "/usr/planted"}), "brood makes nothing outside of its own tmpfs: /usr/planted"));
}

TEST_P(MadeFilesTest, WhatIsThereAlreadyIsAnErrorAndNotKept) {
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "/d:/link", "--dir", "/d/x", "--dir", "/link/x"}), "something is there already: /link/x"));
  EXPECT_TRUE(absl::StrContains(Refused({"--dir", "/a/b", "--symlink", "/a:/z", "--symlink", "/usr:/z/b"}), "something is there already: /z/b"));
  EXPECT_TRUE(absl::StrContains(Refused({"--dir", "/a", "--symlink", "/usr:/a"}), "two rules for /a"));
  EXPECT_TRUE(absl::StrContains(Refused({"--dir", "/a", "--dir", "/x/../a/."}), "two rules for /a"));
}

TEST_P(MadeFilesTest, AWayThatGoesInCirclesOrNowhereIsAnErrorThatNamesThePlace) {
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "/a:/b", "--symlink", "/b:/a", "--dir", "/a/x"}), "/a/x"));
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "self:/self", "--tmpfs", "/self/x"}), "/self/x"));
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "/nowhere:/a", "--dir", "/a/x"}), "/a/x"));
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "/nowhere:/l/x", "--symlink", "/l:/m", "--ro", directory_.path() + "/file:/m/x"}), "/m/x"));
  EXPECT_TRUE(absl::StrContains(Refused({"--symlink", "/usr/bin/env:/a", "--dir", "/a/x"}), "/a/x"));
}

TEST_P(MadeFilesTest, ALinkMayLeadToWhatIsMadeOrMountedLater) {
  const PlainRun run = Script({"--symlink", "/zz:/a", "--dir", "/a/in:0700", "--tmpfs", "/zz", "--ro", directory_.path() + "/file:/a/file", "--symlink", "a/in:/b", "--dir", "/b/deep"},
                              "stat -c '%n %a' /zz/in /zz/in/deep; cat /zz/file");
  EXPECT_EQ(run.out, "/zz/in 700\n/zz/in/deep 755\na file") << run.err;
}

TEST_P(MadeFilesTest, OthersMayBeShownInThem) {
  const PlainRun run = Script({"--dir", "/made:0311", "--ro", directory_.path() + "/file:/made/file", "--dir", "/made/deep:0500", "--tmpfs", "/made/deep/memory"},
                              "stat -c '%a' /made; ls /made; cat /made/file; ls /made/deep");
  EXPECT_EQ(run.out, "311\na filememory\n") << run.err;  // The mode is the child's as well.
}

TEST_P(MadeFilesTest, WhatThereCannotBeIsRefused) {
  const auto option = [&](const char* name, const std::string& value) { return Refused({name, value}); };
  EXPECT_TRUE(absl::StrContains(option("--symlink", "/a"), "--symlink: expected TARGET:DEST, DEST an absolute path, got \"/a\""));
  EXPECT_TRUE(absl::StrContains(option("--symlink", ":/a"), "--symlink: expected TARGET:DEST"));
  EXPECT_TRUE(absl::StrContains(option("--symlink", std::string(4096, 'x') + ":/a"), "symlink: expected 1 to 4095 bytes, got 4096"));
  EXPECT_TRUE(absl::StrContains(option("--dir", "a"), "--dir: expected DEST[:MODE] with an absolute path, got \"a\""));
  for (const char* mode : {"4755", "2755", "8", "rwx", "", "00000000755"}) {
    EXPECT_TRUE(absl::StrContains(option("--dir", absl::StrCat("/a:", mode)), absl::StrCat("--dir: mode \"", mode, "\": expected an octal number up to 1777"))) << mode;
  }
  EXPECT_TRUE(absl::StrContains(option("--dir", "/"), "files: / is there already"));
  const auto file = [&](const std::string& rule) {
    const PlainRun run = Run(absl::StrCat("\"files\": [", rule, "]"), {"does_nothing"});
    EXPECT_EQ(run.code, 125) << rule;
    EXPECT_TRUE(absl::StrContains(run.err, "field \"files[0]\": ")) << run.err;
    return run.err;
  };
  EXPECT_TRUE(absl::StrContains(file("{\"symlink\": \"/usr\"}"), "\"symlink\" and \"content\" need \"at\", the place inside"));
  EXPECT_TRUE(absl::StrContains(file("{\"symlink\": \"\", \"at\": \"/a\"}"), "symlink: expected 1 to 4095 bytes, got 0"));
  EXPECT_TRUE(absl::StrContains(file("{\"symlink\": \"/usr\", \"at\": \"a\"}"), "\"a\" is not an absolute path"));
  EXPECT_TRUE(absl::StrContains(file("{\"symlink\": \"/usr\", \"at\": \"/a\", \"mode\": \"0700\"}"), "mode: goes with \"tmpfs\", \"directory\" and \"content\" only"));
  EXPECT_TRUE(absl::StrContains(file("{\"directory\": \"/a\", \"at\": \"/b\"}"), "\"at\" goes with \"path\", \"overlay\", \"symlink\" and \"content\" only"));
  EXPECT_TRUE(absl::StrContains(file("{\"directory\": \"/a\", \"mode\": \"4755\"}"), "without set-id bits"));
  EXPECT_TRUE(absl::StrContains(file("{\"directory\": \"/a\", \"path\": \"/b\"}"), "each entry has exactly one of path, paths, tmpfs, overlay, symlink, directory, content"));
  EXPECT_TRUE(absl::StrContains(file("{\"directory\": \"/a\", \"access\": \"rw\"}"), "\"optional\" and \"access\" do not go with"));
  EXPECT_TRUE(absl::StrContains(Run("\"files\": [{\"content\": \"a\\u0000b\", \"at\": \"/a\"}]", {"does_nothing"}).err, "field \"files[0].content\": expected a string without NUL"));
  EXPECT_TRUE(absl::StrContains(file("{\"content\": \"" + std::string(65537, 'x') + "\", \"at\": \"/a\"}"), "content: expected 0 to 65536 bytes, got 65537"));
}

TEST_P(MadeFilesTest, MoreThanTheRootHoldsEndsTheLaunch) {
  std::string rules;
  for (int i = 0; i < 69; ++i) absl::StrAppend(&rules, i > 0 ? ", " : "", "{\"content\": \"", std::string(60000, 'x'), "\", \"at\": \"/many/", i, "\"}");
  const PlainRun run = Run(absl::StrCat("\"files\": [", rules, "]"), {"does_nothing"});
  EXPECT_EQ(run.code, 125) << run.out;
  EXPECT_TRUE(absl::StrContains(run.err, "ENOSPC")) << run.err;
}

TEST_P(MadeFilesTest, AreExplained) {
  const PlainRun run = Brood({"policy", "explain", With("\"files\": [{\"symlink\": \"usr/lib\", \"at\": \"/lib9\"}, {\"directory\": \"/made\", \"mode\": \"0700\"}, "
                                                        "{\"content\": \"abc\", \"at\": \"/etc/app.conf\"}, {\"tmpfs\": \"/m\", \"mode\": \"0700\"}]")[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "a link /lib9 to usr/lib, a directory /made of mode 0700")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "a file /etc/app.conf of 3 bytes")) << run.out;
  EXPECT_TRUE(absl::StrContains(run.out, "/m (64M, mode 0700)")) << run.out;
}

TEST_P(MadeFilesTest, AJobSaysThemToo) {
  Write(directory_.path() + "/jobs", "{\"argv\":[\"sh\",\"-c\",\"readlink /link; stat -c %a /made\"],\"symlink\":[\"a:/b:/link\"],\"dir\":[\"/made:0711\"]}\n");
  const PlainRun run = Brood({"batch", "--policy", GetParam(), directory_.path() + "/jobs"});
  EXPECT_TRUE(absl::StrContains(run.out, "\"text\":\"a:/b\\n711\\n\"")) << run.out << run.err;
}

}  // namespace
}  // namespace brood
