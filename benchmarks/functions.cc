// What it costs to start a process for a function: each start method beside a bare fork and beside CPython's.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
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

absl::StatusOr<Server> StartStrictServer(Isolation isolation, Freeze freeze = Freeze::kOff) {
  BROOD_ASSIGN_OR_RETURN(auto plan, StrictPlan());
  ContextOptions options;
  options.freeze = freeze;
  return Server::Start(options, std::move(plan), isolation);
}

absl::StatusOr<Server> StartFrozenServer() {
  ContextOptions options;
  options.freeze = Freeze::kOn;
  return Server::Start(options);
}

absl::Status CallNothing(Server& server) {
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, server.Call("Nothing"));
  return outcome.ok() ? absl::OkStatus() : absl::InternalError(outcome.ToString());
}

// The second of two in a row, as the helper's.
absl::StatusOr<double> TimeSecondCall(Server& server) {
  BROOD_RETURN_IF_ERROR(CallNothing(server));
  const auto start = std::chrono::steady_clock::now();
  BROOD_RETURN_IF_ERROR(CallNothing(server));
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// For what is made ready meanwhile, and so that it does not disturb who is next.
absl::StatusOr<double> BetweenPauses(const std::function<absl::StatusOr<double>()>& once) {
  constexpr std::chrono::milliseconds kPause(20);
  std::this_thread::sleep_for(kPause);
  BROOD_ASSIGN_OR_RETURN(const double time_us, once());
  std::this_thread::sleep_for(kPause);
  return time_us;
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
  const auto add = [&contest](const std::string& name, absl::StatusOr<Server> started) {
    if (!started.ok()) return contest.Skip(name, std::string(started.status().message()));
    contest.AddTimed(name, [server = std::make_shared<Server>(*std::move(started))] { return TimeSecondCall(*server); });
  };
  add("server", std::move(started));
  add("server, strict", StartStrictServer(Isolation::kKept));
  add("server, frozen", StartFrozenServer());
  add("server, frozen, strict", StartStrictServer(Isolation::kKept, Freeze::kOn));
  if (!AddBubblewrap(contest).ok()) contest.Skip("bwrap --unshare-all", "bubblewrap is not installed");
  contest.Run(rounds);
  return contest;
}

// With pauses, in which sandboxes are made ready that are for one child alone. Without, a call waits for the next of these.
Contest CallServersNowAndThen(int rounds) {
  constexpr int kInARow = 12;  // More than are ready.
  Contest contest("call now and then", "clone+wait");
  const OneProcessor one;
  const absl::StatusOr<std::shared_ptr<ForkHelper>> raw = ForkHelper::Start([] { return absl::OkStatus(); });
  absl::StatusOr<Server> kept = StartStrictServer(Isolation::kKept);
  absl::StatusOr<Server> fresh = StartStrictServer(Isolation::kFresh);
  for (const absl::Status& failure : {raw.status(), kept.status(), fresh.status()}) {
    if (failure.ok()) continue;
    contest.Skip("server, strict, fresh", std::string(failure.message()));
    return contest;
  }
  const auto shared = std::make_shared<Server>(*std::move(fresh));
  contest.AddTimed("clone+wait", [raw = *raw] { return BetweenPauses([&] { return raw->Fork(); }); });
  contest.AddTimed("server, strict", [server = std::make_shared<Server>(*std::move(kept))] {
    return BetweenPauses([&] { return TimeSecondCall(*server); });
  });
  contest.AddTimed("server, strict, fresh", [shared] { return BetweenPauses([&] { return TimeSecondCall(*shared); }); });
  contest.AddTimed("fresh, one after the other", [shared] {
    return BetweenPauses([&]() -> absl::StatusOr<double> {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < kInARow; ++i) BROOD_RETURN_IF_ERROR(CallNothing(*shared));
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / kInARow;
    });
  });
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
