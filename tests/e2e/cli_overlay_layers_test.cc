// `brood run --overlay-below` and `--overlay-ro`: several directories that are shown as one.
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

class OverlayLayersTest : public LayersTest {
 protected:
  void SetUp() override {
    for (const char* name : {"top", "middle", "low"}) {
      const std::string layer = Layer(name);
      ASSERT_EQ(mkdir(layer.c_str(), 0755), 0);
      ASSERT_EQ(mkdir((layer + "/folder").c_str(), 0755), 0);
      Write(layer + "/of_" + name, name);
      Write(layer + "/folder/of_" + name, name);
    }
    for (const char* name : {"top", "middle", "low"}) Write(Layer(name) + "/in_all", name);
    for (const char* name : {"middle", "low"}) Write(Layer(name) + "/in_two", name);
    const PlainRun probe = Script(ReadOnly(), "true");
    if (absl::StrContains(probe.err, "the kernel has no overlayfs")) GTEST_SKIP() << probe.err;
  }
  std::string Layer(const std::string& name) const { return directory_.path() + "/" + name; }
  std::vector<std::string> Below(std::vector<std::string> options) const {
    options.insert(options.end(), {"--overlay-below", Layer("middle") + ":/view", "--overlay-below", Layer("low") + ":/view"});
    return options;
  }
  std::vector<std::string> ReadOnly() const { return Below({"--overlay-ro", Layer("top") + ":/view"}); }
  std::vector<std::string> Writable() const { return Below({"--overlay", Layer("top") + ":/view:1M"}); }
  PlainRun Script(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), {"run", "--policy", GetParam(), "--result", Result()});
    options.insert(options.end(), {"--", "sh", "-c", script});
    return Brood(options);
  }
  std::string Outside() const { return RunPlain({"sh", "-c", "cd $0 && grep -r . top middle low | sort; stat -c '%n %a %u' */* .", directory_.path()}).out; }
};
INSTANTIATE_TEST_SUITE_P(Policies, OverlayLayersTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(OverlayLayersTest, WhatIsAboveHidesWhatIsBelow) {
  for (const std::vector<std::string>& options : {ReadOnly(), Writable()}) {
    const PlainRun run = Script(options, "cd /view && ls . folder && cat in_all in_two of_low folder/of_middle");
    EXPECT_EQ(run.out, ".:\nfolder\nin_all\nin_two\nof_low\nof_middle\nof_top\n\nfolder:\nof_low\nof_middle\nof_top\ntopmiddlelowmiddle") << options[0] << run.err;
  }
}

TEST_P(OverlayLayersTest, ThoseThatAreReadOnlyAreNotChanged) {
  const std::string before = Outside();
  const PlainRun run = Script(ReadOnly(), "cd /view; echo x >in_all; echo x >new; rm of_low; mkdir d; chmod 700 .; mv of_top x; cat in_all; "
                                          "grep ' /view ' /proc/self/mountinfo | cut -d' ' -f6");
  EXPECT_EQ(run.out, "topro,nosuid,nodev,relatime\n") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "Read-only file system")) << run.err;
  EXPECT_EQ(Outside(), before);
}

TEST_P(OverlayLayersTest, WhatIsChangedStaysInMemoryWhateverLayerItIsOf) {
  const std::string before = Outside();
  for (int i = 0; i < 2; ++i) {
    const PlainRun run = Script(Writable(), "cd /view && echo new >in_all && echo more >>of_low && rm in_two && rm -r folder && ls && cat in_all of_low");
    EXPECT_EQ(run.out, "in_all\nof_low\nof_middle\nof_top\nnew\nlowmore\n") << run.err;
    EXPECT_EQ(Outside(), before);
  }
  EXPECT_TRUE(absl::StrContains(Script(Writable(), "head -c 2000000 /dev/zero >/view/large").err, "No space left on device"));
}

TEST_P(OverlayLayersTest, ChangesAreKeptForTheNextWhereAsked) {
  const std::string changes = directory_.path() + "/changes";
  ASSERT_EQ(mkdir(changes.c_str(), 0755), 0);
  const std::vector<std::string> options = Below({"--overlay-kept", changes + ":" + Layer("top") + ":/view"});
  const PlainRun first = Script(options, "cd /view && echo new >in_two && rm of_low && echo done");
  if (absl::StrContains(first.err, "user attributes")) GTEST_SKIP() << first.err;
  EXPECT_EQ(first.out, "done\n") << first.err;
  EXPECT_EQ(Script(options, "cd /view && ls && cat in_two in_all").out, "folder\nin_all\nin_two\nof_middle\nof_top\nnew\ntop");
  EXPECT_EQ(FileContent(Layer("middle") + "/in_two"), "middle");
}

TEST_P(OverlayLayersTest, NothingElseIsSeen) {
  for (const std::vector<std::string>& options : {ReadOnly(), Writable()}) {
    const PlainRun run = Script(options, "ls " + directory_.path() + " /lower0 /lower1 /upper /work /view/../lower0 2>/dev/null; grep -c tmpfs /proc/self/mountinfo; ls /proc/self/fd | wc -l");
    const PlainRun without = Script({}, "grep -c tmpfs /proc/self/mountinfo; ls /proc/self/fd | wc -l");
    EXPECT_EQ(run.out, without.out) << run.err;
  }
}

TEST_P(OverlayLayersTest, ALinkInALayerLeadsNowhere) {
  Write(directory_.path() + "/secret", "secret");
  ASSERT_EQ(symlink((directory_.path() + "/secret").c_str(), (Layer("low") + "/link").c_str()), 0);
  ASSERT_EQ(symlink("../secret", (Layer("middle") + "/up").c_str()), 0);
  const PlainRun run = Script(Writable(), "cd /view; cat link up; echo planted >link");
  EXPECT_EQ(run.out, "") << run.err;
  EXPECT_EQ(FileContent(directory_.path() + "/secret"), "secret");
}

TEST_P(OverlayLayersTest, TwelveOfThemAreTheMost) {
  std::vector<std::string> options = {"--overlay-ro", Layer("top") + ":/view"};
  for (int i = 0; i < 11; ++i) {
    const std::string layer = Layer(absl::StrCat("layer", i));
    ASSERT_EQ(mkdir(layer.c_str(), 0755), 0);
    Write(absl::StrCat(layer, "/of_", i), "x");
    options.insert(options.end(), {"--overlay-below", layer + ":/view"});
  }
  EXPECT_EQ(Script(options, "ls /view | grep -c of_").out, "12\n");
  options.insert(options.end(), {"--overlay-below", Layer("low") + ":/view"});
  const PlainRun run = Script(options, "echo ran");
  EXPECT_EQ(run.code, 125);
  EXPECT_TRUE(absl::StrContains(run.err, "12 directories below it, at most 11 are possible")) << run.err;
}

TEST_P(OverlayLayersTest, WhatThereCannotBeIsRefused) {
  const auto error = [&](std::vector<std::string> options) {
    const PlainRun run = Script(options, "echo ran");
    EXPECT_EQ(run.code, 125) << run.out;
    EXPECT_EQ(run.out, "");
    return run.err;
  };
  EXPECT_TRUE(absl::StrContains(error({"--overlay-ro", Layer("top") + ":/view"}), "add what is below it"));
  EXPECT_TRUE(absl::StrContains(error({"--overlay-below", Layer("low") + ":/view"}), "--overlay-below: there is no overlay at /view"));
  EXPECT_TRUE(absl::StrContains(error({"--overlay-below", Layer("low")}), "--overlay-below: expected SRC:DEST"));
  EXPECT_TRUE(absl::StrContains(error({"--overlay-ro", Layer("top") + ":/view", "--overlay-below", Layer("missing") + ":/view"}), Layer("missing") + ": ENOENT"));
  EXPECT_TRUE(absl::StrContains(error({"--overlay-ro", Layer("top") + ":/view", "--overlay-below", Layer("top") + "/in_all:/view"}), "only of directories there can be an overlay"));
  EXPECT_TRUE(absl::StrContains(error({"--overlay-ro", Layer("top") + ":/", "--overlay-below", Layer("low") + ":/"}), "an overlay at / is not possible"));
  const auto file = [&](const std::string& rule) { return Run(absl::StrCat("\"files\": [{", rule, "}]"), {"does_nothing"}).err; };
  EXPECT_TRUE(absl::StrContains(file("\"path\": \"/usr\", \"below\": [\"/lib\"]"), "\"below\" goes with \"overlay\" only"));
  EXPECT_TRUE(absl::StrContains(file("\"overlay\": \"/usr\", \"below\": [\"lib\"]"), "below: \"lib\" is not an absolute path"));
  EXPECT_TRUE(absl::StrContains(file("\"overlay\": \"/usr\", \"access\": \"ro\""), "\"below\" lists what is to lie below it"));
  EXPECT_TRUE(absl::StrContains(file("\"overlay\": \"/usr\", \"below\": [\"/lib\"], \"access\": \"ro\", \"size\": \"1M\""), "a read-only overlay has no changes"));
}

TEST_P(OverlayLayersTest, AFileSaysThemTooAndTheyAreExplained) {
  const std::string rules = absl::StrCat("\"files\": [{\"overlay\": \"", Layer("top"), "\", \"at\": \"/view\", \"below\": [\"", Layer("middle"), "\", \"", Layer("low"),
                                         "\"], \"access\": \"ro\"}, {\"overlay\": \"", Layer("top"), "\", \"at\": \"/both\", \"below\": [\"", Layer("low"), "\"]}]");
  With(rules);
  const PlainRun run = Brood({"run", "--policy", directory_.path() + "/policy.json", "--", "sh", "-c", "cat /view/in_two /both/in_two"});
  EXPECT_EQ(run.out, "middlelow") << run.err;
  const PlainRun explained = Brood({"policy", "explain", directory_.path() + "/policy.json"});
  EXPECT_TRUE(absl::StrContains(explained.out, "  read-only, as one   " + Layer("top") + " at /view over " + Layer("middle") + ", " + Layer("low"))) << explained.out;
  EXPECT_TRUE(absl::StrContains(explained.out, Layer("top") + " at /both over " + Layer("low") + " (64M)")) << explained.out;
}

TEST_P(OverlayLayersTest, AJobSaysThemToo) {
  Write(directory_.path() + "/jobs", absl::StrCat("{\"argv\":[\"cat\",\"/view/in_two\",\"/both/in_all\"],\"overlay_ro\":[\"", Layer("top"), ":/view\"],\"overlay\":[\"", Layer("low"),
                                                  ":/both\"],\"overlay_below\":[\"", Layer("middle"), ":/view\",\"", Layer("top"), ":/both\"]}\n"));
  const PlainRun run = Brood({"batch", "--policy", GetParam(), directory_.path() + "/jobs"});
  EXPECT_TRUE(absl::StrContains(run.out, "\"text\":\"middlelow\"")) << run.out << run.err;
}

}  // namespace
}  // namespace brood
