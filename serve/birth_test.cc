// What a child of a server has from its birth: that of its client at the start, as it would without the server.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"
#include "sandbox/plan.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

std::string Surroundings() {
  char cwd[4096];
  const char* const variable = getenv("BROOD_TEST");
  std::string text = absl::StrCat("cwd ", getcwd(cwd, sizeof(cwd)), "\nvariable ", variable != nullptr ? variable : "-", "\n");
  const std::string status = internal::ReadStatusText().value();
  for (const char* name : {"Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "SigPnd"}) {
    absl::StrAppend(&text, name, " ", internal::StatusField(status, name), "\n");
  }
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    absl::StrAppend(&text, "limit ", resource, " ", limit.rlim_cur, " ", limit.rlim_max, "\n");
  }
  return absl::StrCat(text, "nice ", getpriority(PRIO_PROCESS, 0), "\n");
}
BROOD_TARGET(Surroundings);

constexpr const char* kTell =
    "umask; nice; pwd; echo $BROOD_TEST; id; cat /proc/self/limits; grep -E '^(Sig(Pnd|Blk|Ign|Cgt)|Uid|Gid|Groups):' /proc/self/status";

std::string Captured(LaunchOptions options) {
  options.argv = {"sh", "-c", kTell};
  options.stdout_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Launch(options);
  if (!process.ok()) return process.status().ToString();
  const Outcome outcome = process->Join().value();
  if (!outcome.ok()) return outcome.ToString();
  UniqueFd out = process->TakeStdout();
  std::string text(static_cast<size_t>(lseek(out.get(), 0, SEEK_END)), '\0');
  return pread(out.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) ? text : "cannot be read";
}

// With whatever the server was started before.
std::string IsAsWithoutServer(const std::string& server, const char* name) {
  const Policy policy = BuiltinPolicy(name).value();
  LaunchOptions here, there;
  here.policy = CompilePolicy(policy).value();
  there.server = server;
  there.server_policy = policy;
  for (const Isolation isolation : {Isolation::kKept, Isolation::kFresh}) {
    there.isolation = isolation;
    const std::string expected = Captured(here), seen = Captured(there);
    if (seen != expected) return absl::StrCat(name, ", a program: ", seen, "\nwithout: ", expected);
    const absl::StatusOr<std::string> spawned = Context(StartMethod::kSpawn).Call(here, Surroundings);
    if (!spawned.ok()) return spawned.status().ToString();
    for (const StartMethod method : {StartMethod::kFork, StartMethod::kForkServer}) {
      const absl::StatusOr<std::string> borne = Context(method).Call(here, Surroundings);
      if (borne != spawned) return absl::StrCat(name, ", by ", StartMethodName(method), ": ", borne.ok() ? *borne : borne.status().ToString(), "\nspawned: ", *spawned);
    }
    const absl::StatusOr<std::string> served = Context(StartMethod::kForkServer).Call(there, Surroundings);
    if (served != spawned) return absl::StrCat(name, ", served: ", served.ok() ? *served : served.status().ToString(), "\nspawned: ", *spawned);
  }
  return "";
}

class ServedBirthTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Policies, ServedBirthTest, testing::Values("none", "default", "strict"),
                         [](const testing::TestParamInfo<const char*>& info) { return std::string(info.param); });

TEST_P(ServedBirthTest, AChildHasWhatItsClientHasAtTheStartWhateverBearsIt) {
  ServeOptions options;
  options.policy = BuiltinPolicy(GetParam()).value();
  ServerProcess server(options);
  EXPECT_EQ(InFork([&]() -> std::string {
              if (const std::string said = IsAsWithoutServer(server.path(), GetParam()); !said.empty()) return "before: " + said;
              umask(035);
              setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 5);
              rlimit limit = {.rlim_cur = 300, .rlim_max = 400};
              setrlimit(RLIMIT_NOFILE, &limit);
              limit = {.rlim_cur = 0, .rlim_max = 0};
              setrlimit(RLIMIT_CORE, &limit);
              setenv("BROOD_TEST", "later", 1);
              if (chdir("/usr") != 0) return "chdir";
              signal(SIGUSR1, SIG_IGN);
              signal(SIGPIPE, SIG_IGN);
              sigset_t blocked;
              sigemptyset(&blocked);
              sigaddset(&blocked, SIGUSR2);
              sigprocmask(SIG_BLOCK, &blocked, nullptr);
              return IsAsWithoutServer(server.path(), GetParam());
            }),
            "");
}

}  // namespace
}  // namespace brood
