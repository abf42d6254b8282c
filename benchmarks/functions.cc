// What it costs to start a process for a function: each start method beside a bare fork and beside CPython's.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "benchmarks/contests.h"
#include "benchmarks/cpython.h"
#include "benchmarks/fork_helper.h"
#include "benchmarks/one_processor.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server.h"

namespace brood {
namespace {

int Same(int value) { return value; }
BROOD_TARGET(Same);

void Nothing() {}
BROOD_TARGET(Nothing);

absl::Status ForkAndWait() {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return ErrnoStatus(errno, "fork");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("ended with wait status ", status));
}

absl::Status CallSame(const Context& context) {
  BROOD_ASSIGN_OR_RETURN(const int value, context.Call(Same, 7));
  return value == 7 ? absl::OkStatus() : absl::InternalError("the wrong value came back");
}

absl::Status StartNothing(const Context& context) {
  BROOD_ASSIGN_OR_RETURN(Process process, context.Start(Nothing));
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
  return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
}

}  // namespace

Contest CallFunctions(int rounds) {
  Contest contest("call a function", "fork+wait");
  contest.Add("fork+wait", ForkAndWait);
  for (const StartMethod method : {StartMethod::kFork, StartMethod::kSpawn, StartMethod::kForkServer}) {
    contest.Add(absl::StrCat("library, ", StartMethodName(method)),
                [context = Context(method)] { return CallSame(context); });
  }
  contest.Run(rounds);
  return contest;
}

namespace {

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> StrictPlan() {
  BROOD_ASSIGN_OR_RETURN(const Policy policy, BuiltinPolicy("strict"));
  return CompilePolicy(policy);
}

absl::StatusOr<Server> StartStrictServer() {
  BROOD_ASSIGN_OR_RETURN(auto plan, StrictPlan());
  return Server::Start({}, std::move(plan));
}

// Each child in a sandbox that was made for it, in which nobody was before.
void AddFresh(Contest& contest) {
  const std::string name = "strict, fresh namespaces";
  const auto plan = StrictPlan();
  if (!plan.ok()) return contest.Skip(name, std::string(plan.status().message()));
  LaunchOptions options;
  options.policy = *plan;
  options.isolation = Isolation::kFresh;
  contest.Add(name, [context = Context(StartMethod::kForkServer), options]() -> absl::Status {
    BROOD_ASSIGN_OR_RETURN(Process process, context.StartByName(options, "Nothing", {}));
    BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
    return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
  });
}

}  // namespace

Contest CallServers(int rounds) {
  Contest contest("call on a server", "clone+wait");
  const OneProcessor one;
  // The bare system calls, in a process of this program that does nothing else.
  const absl::StatusOr<std::shared_ptr<ForkHelper>> raw = ForkHelper::Start([] { return absl::OkStatus(); });
  absl::StatusOr<Server> started = Server::Start();
  if (!raw.ok() || !started.ok()) {
    contest.Skip("server", std::string((raw.ok() ? started.status() : raw.status()).message()));
    return contest;
  }
  contest.AddTimed("clone+wait", [raw = *raw] { return raw->Fork(); });
  const auto add = [&contest](std::string name, Server server) {
    contest.AddTimed(std::move(name), [server = std::make_shared<Server>(std::move(server))]() -> absl::StatusOr<double> {
      // The second of two in a row, as the helper's.
      double time_us = 0;
      for (int i = 0; i < 2; ++i) {
        const auto start = std::chrono::steady_clock::now();
        BROOD_ASSIGN_OR_RETURN(const Outcome outcome, server->Call("Nothing"));
        if (!outcome.ok()) return absl::InternalError(outcome.ToString());
        time_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
      }
      return time_us;
    });
  };
  add("server", *std::move(started));
  absl::StatusOr<Server> sandboxed = StartStrictServer();
  if (sandboxed.ok()) {
    add("server, strict", *std::move(sandboxed));
  } else {
    contest.Skip("server, strict", std::string(sandboxed.status().message()));
  }
  AddFresh(contest);
  if (!AddBubblewrap(contest).ok()) contest.Skip("bwrap --unshare-all", "bubblewrap is not installed");
  contest.Run(rounds);
  return contest;
}

Contest StartAndJoin(int rounds) {
  Contest contest("start and join", "fork+wait");
  contest.Add("fork+wait", ForkAndWait);
  absl::StatusOr<CPython> started = CPython::Start();
  const auto python = started.ok() ? std::make_shared<CPython>(*std::move(started)) : nullptr;
  for (const StartMethod method : {StartMethod::kFork, StartMethod::kSpawn, StartMethod::kForkServer}) {
    const std::string name(StartMethodName(method));
    contest.Add(name, [context = Context(method)] { return StartNothing(context); });
    if (python == nullptr) {
      contest.Skip(absl::StrCat("CPython, ", name), std::string(started.status().message()));
      continue;
    }
    contest.AddTimed(absl::StrCat("CPython, ", name), [python, command = absl::StrCat("start ", name)] {
      return python->Do(command);
    });
  }
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
