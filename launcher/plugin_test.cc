// Targets of plugins, by each start method.
#include "bootstrap/plugin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/json_arguments.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

// Of a name that a plugin has, too.
int Byte(int x) { return 1000 + x; }
BROOD_TARGET_AS("byte", Byte);

class PluginTest : public testing::TestWithParam<StartMethod> {
 protected:
  // Tests run in their runfiles.
  static std::string Folder() {
    char* const path = realpath("tests/plugins", nullptr);
    const std::string folder = path != nullptr ? path : "";
    free(path);
    return folder;
  }
  static std::string Plugin(std::string_view name) { return absl::StrCat(Folder(), "/lib", name, ".so"); }

  absl::StatusOr<int> Call(const ContextOptions& options, std::string_view target) const {
    BROOD_ASSIGN_OR_RETURN(const CallResult result,
                           Context(GetParam(), options).CallByName(quiet_, target, {JsonArgument("7")}));
    if (!result.value.has_value()) return absl::AbortedError(result.outcome.ToString());
    if (result.value->type == "int32") return Unpack<int>(*result.value);
    return Unpack<uint8_t>(*result.value);
  }

  const LaunchOptions quiet_ = {.stderr_spec = Stdio::Null()};
};

INSTANTIATE_TEST_SUITE_P(Methods, PluginTest,
                         testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(PluginTest, ANameWithoutASlashIsLookedForInTheFoldersOfTheContextOnly) {
  const ContextOptions folders = {.plugin_path = {"/nowhere", Folder()}};
  EXPECT_EQ(Call(folders, "libvalues.so:byte").value_or(-1), 7);
  const absl::Status elsewhere = Call({.plugin_path = {"/nowhere"}}, "libvalues.so:byte").status();
  EXPECT_TRUE(absl::StrContains(elsewhere.message(), "plugin libvalues.so: not in /nowhere")) << elsewhere;
  const absl::Status nowhere = Call({}, "libm.so.6:cos").status();
  EXPECT_TRUE(absl::StrContains(nowhere.message(), "no folders are given")) << nowhere;
}

TEST_P(PluginTest, TheCallerLoadsNothing) {
  EXPECT_EQ(Call({}, Plugin("values") + ":byte").value_or(-1), 7);
  std::ifstream maps("/proc/self/maps");
  const std::string text(std::istreambuf_iterator<char>(maps), {});
  EXPECT_NE(text, "");
  EXPECT_FALSE(absl::StrContains(text, "libvalues.so"));
}

TEST_P(PluginTest, APluginsTargetIsNotTheProgramsOfThatName) {
  const std::string plugin = Plugin("values");
  for (const ContextOptions& options : {ContextOptions(), ContextOptions{.preload = {plugin}}}) {
    EXPECT_EQ(Call(options, "byte").value_or(-1), 1007);
    EXPECT_EQ(Call(options, plugin + ":byte").value_or(-1), 7);
    EXPECT_EQ(Context(GetParam(), options).Call(Byte, 1).value_or(-1), 1001);
  }
}

TEST_P(PluginTest, OneThatWasBuiltForAnotherBroodIsRefusedWithBothVersions) {
  const absl::Status refused = Call({}, Plugin("other_abi") + ":Nothing").status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "built for another brood (brood 0, Abseil head, string ABI 1; this is brood 1, "))
      << refused;
}

// The loader would wait for whoever writes into it.
TEST_P(PluginTest, AFifoIsAnErrorAtOnce) {
  char folder[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string fifo = absl::StrCat(folder, "/libfifo.so");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const absl::Status status = Call({}, fifo + ":byte").status();
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("plugin ", fifo, ": is no regular file"))) << status;
  unlink(fifo.c_str());
  rmdir(folder);
}

TEST_P(PluginTest, ASetUpThatFailedIsAnOutcomeIfThatIsAskedFor) {
  const Context context(GetParam());
  EXPECT_FALSE(context.StartByName(quiet_, Plugin("values") + ":nothing", {}).ok());
  absl::StatusOr<Process> process = context.LaunchByName(quiet_, Plugin("values") + ":nothing", {});
  ASSERT_TRUE(process.ok()) << process.status();
  const Outcome outcome = process->Join().value();
  const auto* failed = std::get_if<SetupFailed>(&outcome.ending);
  ASSERT_NE(failed, nullptr) << outcome.ToString();
  EXPECT_EQ(failed->step, "bootstrap");
  EXPECT_TRUE(absl::StrContains(failed->detail, "target \"nothing\": not in plugin ")) << failed->detail;
  EXPECT_FALSE(process->ResultValue().ok());
}

TEST(PluginNameTest, APluginsNameEndsInSo) {
  const auto split = [](std::string_view target) {
    const std::optional<PluginTarget> plugin = SplitPluginTarget(target);
    return plugin.has_value() ? absl::StrCat(plugin->path, " ", plugin->name) : "";
  };
  EXPECT_EQ(split("libjob.so:norm"), "libjob.so norm");
  EXPECT_EQ(split("/a:b/lib job.so.1.2:jobs::norm"), "/a:b/lib job.so.1.2 jobs::norm");
  EXPECT_EQ(split("a.so:b/libjob.so:norm"), "a.so:b/libjob.so norm");
  EXPECT_EQ(split("./libjob.so"), "./libjob.so ");
  EXPECT_EQ(split("libjob.so:"), "libjob.so ");
  EXPECT_EQ(split("libjob.so:jobs.sort"), "libjob.so jobs.sort");
  EXPECT_EQ(split("norm"), "");
  EXPECT_EQ(split("jobs::norm"), "");
  EXPECT_EQ(split("jobs.sort"), "");
  EXPECT_EQ(split("jobs.sort:all"), "");
  EXPECT_EQ(split(""), "");
}

}  // namespace
}  // namespace brood
