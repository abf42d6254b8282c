// What it costs to start a process for a function: each start method beside a bare fork and beside CPython's.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "benchmarks/contests.h"
#include "benchmarks/cpython.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/process.h"

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
