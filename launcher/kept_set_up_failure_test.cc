// The steps of set_up_failure_test where the sandbox is one that a forkserver keeps: the fault is around the server, too.
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/server.h"
#include "launcher/set_up_faults.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

void Write(std::string file) { std::ofstream(file) << "ran"; }
BROOD_TARGET(Write);

// As the first child of a server; the script is that of a program, and this is what it does.
std::string CallKept(const LaunchOptions& options) {
  absl::StatusOr<Server> server = Server::Start({}, options.policy);
  if (!server.ok()) return absl::StrCat("no server: ", server.status().ToString());
  const std::string& script = options.argv.back();
  const absl::StatusOr<Outcome> outcome = server->Call("Write", {Pack<std::string>(script.substr(script.find('/')))});
  return outcome.ok() ? TextOf(*outcome) : outcome.status().ToString();
}

class KeptSetUpStepTest : public SetUpFailureTest, public testing::WithParamInterface<Fault> {};

constexpr Fault kOfKeptSandboxes[] = {
    {"Folder", SYS_fstatfs, EIO, "slot"},
    {"WhatChildrenNeed", SYS_pwrite64, ENOSPC, "slot"},
};

// And those for which nothing is asked that only a sandbox of its own has, or that a server does once for all of them.
std::vector<Fault> Faults() {
  std::vector<Fault> faults(std::begin(kOfKeptSandboxes), std::end(kOfKeptSandboxes));
  const std::set<std::string_view> others = {"tree", "descriptors", "guardian", "fork", "exec"};
  std::copy_if(std::begin(kFaults), std::end(kFaults), std::back_inserter(faults), [&](const Fault& fault) {
    return fault.wants == nullptr && fault.asks == nullptr && fault.fails == nullptr && others.count(fault.step) == 0;
  });
  return faults;
}

INSTANTIATE_TEST_SUITE_P(Every, KeptSetUpStepTest, testing::ValuesIn(Faults()), [](const auto& info) { return info.param.name; });

TEST_P(KeptSetUpStepTest, ThatFailsEndsTheCallAndIsTold) {
  const Machine::Cgroups& cgroups = ThisMachine().cgroups;
  if (cgroups.memory.empty() && cgroups.unified.empty()) GTEST_SKIP() << "strict is kept only where its limits have a cgroup: " << cgroups.why_not;
  ExpectEndsTheLaunch(GetParam(), absl::StrCat("FAILED_PRECONDITION: forkserver: ", GetParam().step, ": "), CallKept);
}

TEST(BootstrapStepTest, AFunctionThatIsNotThereFailsItWithEveryStartMethod) {
  for (const StartMethod method : {StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer}) {
    LaunchOptions options;
    options.policy = CompilePolicy(BuiltinPolicy("strict").value()).value();
    options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
    absl::StatusOr<Process> process = Context(method).LaunchByName(options, "/nowhere.so:Write", {});
    ASSERT_TRUE(process.ok()) << process.status();
    const absl::StatusOr<Outcome> outcome = process->Join(absl::Seconds(30));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_TRUE(absl::StartsWith(TextOf(*outcome), "bootstrap|0|")) << TextOf(*outcome);
  }
}

}  // namespace
}  // namespace brood
