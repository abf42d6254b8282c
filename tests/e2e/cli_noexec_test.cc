// `brood run --noexec`: places where nothing is executed, nor mapped to be.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
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

// Executes $1, then a copy that it makes at $2 if that is given, and then has the loader map $1 to be executed.
constexpr char kTry[] =
    "\"$1\" && echo executed; if test -n \"$2\"; then cp /bin/true \"$2\" && \"$2\" && echo executed its own; fi; "
    "for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do if test -x $loader; then $loader \"$1\" && echo mapped; fi; done; echo end";

class NoExecTest : public LayersTest {
 protected:
  void SetUp() override {
    shown_ = directory_.path() + "/shown";
    ASSERT_EQ(mkdir(shown_.c_str(), 0755), 0);
    ASSERT_EQ(chmod(shown_.c_str(), 0777), 0);
    std::filesystem::copy_file("/bin/true", shown_ + "/true");
  }
  PlainRun Try(std::vector<std::string> options, const std::string& program, const std::string& copy = "") {
    options.insert(options.begin(), {"run", "--policy", GetParam(), "--result", Result()});
    options.insert(options.end(), {"--", "sh", "-c", kTry, "sh", program, copy});
    return Brood(options);
  }
  std::string shown_;
};
INSTANTIATE_TEST_SUITE_P(Policies, NoExecTest, testing::Values("strict", "default"), [](const auto& param) { return param.param; });

TEST_P(NoExecTest, NothingOfWhatIsShownIsExecutedOrMapped) {
  for (const char* option : {"--ro", "--rw", "--overlay"}) {
    const std::string copy = std::string(option) == "--ro" ? "" : "/given/copy";
    const std::string all = absl::StrCat("executed\n", copy.empty() ? "" : "executed its own\n", "mapped\nend\n");
    EXPECT_EQ(Try({option, shown_ + ":/given"}, "/given/true", copy).out, all) << option << ": or the test proves nothing";
    const PlainRun run = Try({option, shown_ + ":/given", "--noexec", "/given"}, "/given/true", copy);
    EXPECT_EQ(run.out, "end\n") << option << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, "/given/true: Permission denied")) << option << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, "failed to map segment from shared object")) << option << run.err;
    std::filesystem::remove(shown_ + "/copy");
  }
}

TEST_P(NoExecTest, NothingInMemoryIsExecutedThePolicysOwnTmpNeither) {
  for (const std::vector<std::string>& options : std::vector<std::vector<std::string>>{{"--noexec", "/tmp/"}, {"--tmpfs", "/tmp", "--noexec", "/tmp"}}) {
    const PlainRun run = Try(options, "/bin/true", "/tmp/copy");
    EXPECT_EQ(run.out, "executed\nmapped\nend\n") << run.err;
    EXPECT_TRUE(absl::StrContains(run.err, "/tmp/copy: Permission denied")) << run.err;
  }
  EXPECT_EQ(Try({}, "/bin/true", "/tmp/copy").out, "executed\nexecuted its own\nmapped\nend\n") << "or the test proves nothing";
}

TEST_P(NoExecTest, SubmountsAreNotExecutedFromEither) {
  std::vector<std::string> command = {"unshare", "--mount", "--propagation", "private"};
  if (!IsRoot()) command.insert(command.end(), {"--user", "--map-root-user"});
  const std::string script = absl::StrCat("cd $0 && mkdir shown/mem && mount -t tmpfs mem shown/mem && chmod 755 shown/mem && cp /bin/true shown/mem && for o in '' '--noexec /given'; do '",
                                          BroodPath(), "' run --policy ", GetParam(), " --ro ./shown:/given $o -- sh -c '/given/mem/true && echo executed; echo end'; done");
  command.insert(command.end(), {"sh", "-c", script, directory_.path()});
  const PlainRun run = RunPlain(command);
  EXPECT_EQ(run.out, "executed\nend\nend\n") << run.err;
  EXPECT_TRUE(absl::StrContains(run.err, "Permission denied")) << run.err;
}

TEST_P(NoExecTest, AFileSaysItTooAndTheNearerRuleCounts) {
  const std::string rule = absl::StrCat("\"files\": [{\"path\": \"", shown_, "\", \"at\": \"/given\", \"noexec\": true}]");
  const auto run = [&](std::vector<std::string> options) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {"--", "/given/true"});
    return Brood(options);
  };
  EXPECT_EQ(run(With(rule)).code, 126);
  EXPECT_EQ(run(With(rule, {"--ro", shown_ + ":/given"})).code, 0);
  const std::string file = directory_.path() + "/policy.json";
  EXPECT_TRUE(absl::StrContains(Brood({"policy", "explain", file}).out, "/given (nothing there is executed)"));
  const std::string jobs = directory_.path() + "/jobs.jsonl";
  Write(jobs, absl::StrCat("{\"argv\":[\"/given/true\"],\"ro\":[\"", shown_, ":/given\"],\"noexec\":[\"/given\"],\"policy\":\"", GetParam(), "\"}\n"));
  EXPECT_TRUE(absl::StrContains(Brood({"batch", jobs}).out, "\"errno\":\"EACCES\"")) << Brood({"batch", jobs}).out;
}

TEST_P(NoExecTest, WhereNoRuleShowsAnythingItIsAnErrorThatSaysWhatToDo) {
  const PlainRun run = Try({"--ro", shown_ + ":/given", "--noexec", "/given/true"}, "/given/true");
  EXPECT_EQ(run.code, 125);
  EXPECT_EQ(run.out, "");
  EXPECT_TRUE(absl::StrContains(run.err, "noexec: no rule of the policy, nor an option, shows something at /given/true; name the place of one")) << run.err;
  EXPECT_TRUE(absl::StrContains(Try({"--noexec", "tmp"}, "/bin/true").err, "expected DEST, an absolute path")) << run.err;
  const PlainRun made = Run("\"files\": [{\"directory\": \"/made\", \"noexec\": true}]", {"does_nothing"});
  EXPECT_EQ(made.code, 125);
  EXPECT_TRUE(absl::StrContains(made.err, "is made in the child's root")) << made.err;
}

}  // namespace
}  // namespace brood
