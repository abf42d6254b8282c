// Runs the contests, prints their rows, and says which goals are met. See tools/bench.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "benchmarks/contest.h"
#include "benchmarks/contests.h"
#include "benchmarks/goal.h"
#include "benchmarks/report.h"
#include "bootstrap/bootstrap.h"

namespace brood {
namespace {

std::vector<Goal> Goals() {
  constexpr auto kAtMost = Goal::Kind::kAtMostTimes;
  constexpr auto kAtMostMore = Goal::Kind::kAtMostMoreNanoseconds;
  constexpr auto kAtMostMicroseconds = Goal::Kind::kAtMostMicroseconds;
  constexpr auto kFaster = Goal::Kind::kAtLeastTimesFaster;
  return {
      {"fork", "start and join", "fork", kAtMost, "fork+wait", 1.3},
      {"spawn", "start and join", "spawn", kFaster, "CPython, spawn", 15},
      {"forkserver", "start and join", "forkserver", kFaster, "CPython, forkserver", 5},
      {"forkserver-slots", "start and join", "forkserver", kFaster, "CPython, forkserver", 20},
      {"server", "call on a server", "server", kAtMost, "clone+wait", 1.25},
      {"slot", "call on a server", "server, strict", kAtMost, "clone+wait", 1.35},
      {"slot-bwrap", "call on a server", "server, strict", kFaster, "bwrap --unshare-all", 35},
      {"fresh", "call now and then", "server, strict, fresh", kAtMost, "clone+wait", 2.2},
      {"program-strict", "start a static program", "library, strict, kept", kAtMost, "vfork+exec+wait", 2.5},
      {"program-bwrap", "start a static program", "library, strict, kept", kFaster, "bwrap --unshare-all", 4},
      {"program-strict-alone", "start one now and then", "library, strict, kept", kAtMost, "vfork+exec+wait", 2.5},
      {"violation", "tell of the end", "a violation", kAtMostMicroseconds, "", 1000},
      {"violation-stack", "tell of the end", "a violation, with its stack", kAtMostMicroseconds, "", 10000},
      {"task", "run a task", "Executor", kAtMost, "ping-pong", 3},
      {"task-cpython", "run a task", "Executor", kFaster, "ProcessPoolExecutor", 5},
      {"arena-1g", "fork with 1 GiB", "preload arena", kAtMost, "nothing", 1.1},
      {"frozen-1g", "fork with 1 GiB", "frozen heap", kAtMost, "nothing", 1.1},
      {"frozen-1g-raw", "fork with 1 GiB", "frozen and coalesced", kFaster, "heap", 400},
      {"arena-4g", "fork with 4 GiB", "preload arena", kAtMost, "nothing", 1.15},
      {"frozen-4g", "fork with 4 GiB", "frozen heap", kAtMost, "nothing", 1.15},
      {"libraries", "fork with 50 libraries", "frozen and coalesced", kAtMost, "as loaded", 0.45},
      {"launch-arena-1g", "launch with 1 GiB", "preload memory", kAtMost, "nothing", 1.1},
      {"warm", "job on a warm child", "warm child, strict", kAtMost, "ping-pong", 2.5},
      {"rewound", "job on a frozen GiB", "rewound worker, strict", kAtMost, "clone+work+wait", 0.33},
      {"many-live", "launch beside 10000", "10000 live", kAtMost, "none live", 1 / 0.9},
      {"idle-memory", "memory of an idle child, 1 GiB preloaded", "frozen heap", kAtMost, "heap", 0.05},
      {"idle-memory-kib", "memory of an idle child, 1 GiB preloaded", "frozen heap, and the kernel's", Goal::Kind::kAtMostKibibytes, "", 96},
      {"two-servers", "calls on two processors", "two servers", kFaster, "one server", 1.8},
      {"launch-frozen-1g", "launch with 1 GiB", "frozen heap", kAtMost, "nothing", 1.1},
      {"filter-load", "load 300 rules", "brood", kAtMost, "libseccomp", 0.5},
      {"filter-allowed-60", "a call (getpid)", "allowed, of 60", kAtMostMore, "no filter", 60},
      {"filter-allowed-300", "a call (getpid)", "allowed, of 300", kAtMostMore, "no filter", 60},
      {"filter-compared-60", "a call (getpid)", "compared, of 60", kAtMostMore, "no filter", 100},
      {"filter-compared-300", "a call (getpid)", "compared, of 300", kAtMostMore, "no filter", 100},
      {"filter-read-60", "a call (read)", "allowed, of 60", kAtMostMore, "no filter", 60},
      {"filter-read-300", "a call (read)", "allowed, of 300", kAtMostMore, "no filter", 60},
      {"filter-read-compared-60", "a call (read)", "compared, of 60", kAtMostMore, "no filter", 100},
      {"filter-read-compared-300", "a call (read)", "compared, of 300", kAtMostMore, "no filter", 100},
  };
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what launches and tasks cost, contestants interleaved in one run.", "tools/bench");
  std::string json;
  std::string only;
  bool quick = false;
  int rounds = 300;
  int gib = 1;
  app.add_option("--json", json, "write the rows, and goals: [{id, what, goal, measured, met}], to FILE")->option_text("FILE");
  app.add_option("--rounds", rounds, "rounds that count; 1/100 of them where a million elements are mapped")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--only", only, "one contest")
      ->option_text("call|join|server|program|layer|violation|task|map|freeze|job|many|filter")
      ->check(CLI::IsMember(
          {"call", "join", "server", "program", "layer", "violation", "task", "map", "freeze", "job", "many", "filter"}));
  app.add_option("--gib", gib, "freeze: what the forking process holds; there are four such")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_flag("--quick", quick, "30 rounds, and fewer elements: to see that it works, not to compare");
  CLI11_PARSE(app, argc, argv);
  if (quick) rounds = 30;
  signal(SIGPIPE, SIG_IGN);  // A contestant that dies is an error of its own.

  const std::vector<std::pair<std::string, std::function<absl::StatusOr<Contest>()>>> all = {
      {"call", [=] { return CallFunctions(rounds); }},
      {"join", [=] { return StartAndJoin(rounds); }},
      {"server", [=] { return CallServers(rounds); }},
      {"server", [=] { return CallServersNowAndThen(std::max(rounds / 4, 20)); }},
      {"server", [=] { return CallTwoServers(rounds); }},
      {"job", [=] { return RunWarmJobs(rounds); }},
      {"job", [=] { return RunRewoundJobs(rounds); }},
      {"many", [=] { return LaunchBesideLive(rounds, 10'000); }},
      {"many", [=] { return HoldIdle(std::max(rounds / 30, 3)); }},
      {"program", [=] { return StartPrograms(std::max(rounds / 10, 3), 10); }},
      {"program", [=] { return StartPrograms(rounds, 1); }},
      {"layer", [=] { return LaunchInEachLayer(rounds); }},
      {"violation", [=] { return TellOfViolations(rounds); }},
      {"task", [=] { return RunTasks(rounds); }},
      {"map", [=] { return MapElements(std::max(rounds / 100, 1), quick ? 64'000 : 1'000'000); }},
      {"freeze", [=] { return ForkPreloaded(rounds, gib); }},
      {"freeze", [=] { return ForkWithLibraries(rounds); }},
      {"freeze", [=] { return LaunchPreloaded(rounds); }},
      {"filter", [=] { return LoadFilters(rounds); }},
      {"filter", [=] { return CallThroughFilters(rounds); }},
      {"filter", [=] { return ReadThroughFilters(rounds); }},
  };
  std::vector<Contest> contests;
  for (const auto& [name, run] : all) {
    if (!only.empty() && only != name) continue;
    absl::StatusOr<Contest> contest = run();
    if (!contest.ok()) {
      absl::FPrintF(stderr, "bench: %s\n", contest.status().message());
      return 125;
    }
    PrintContest(*contest);
    contests.push_back(*std::move(contest));
  }
  const std::vector<Verdict> verdicts = Judge(Goals(), contests);
  PrintVerdicts(verdicts);
  if (!json.empty()) {
    if (const absl::Status written = WriteJson(contests, verdicts, json); !written.ok()) {
      absl::FPrintF(stderr, "bench: %s\n", written.message());
      return 125;
    }
  }
  return 0;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  return brood::Main(argc, argv);
}
