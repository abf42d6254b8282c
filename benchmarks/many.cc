// Many children at once, and more than one server.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "benchmarks/contests.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/process.h"
#include "launcher/server.h"

namespace brood {
namespace {

void Idle() {}
BROOD_TARGET_AS("bench.idle", Idle);

void AwaitEnd(const UniqueFd& pipe) {
  char byte;
  while (read(pipe.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}
BROOD_TARGET_AS("bench.await_end", AwaitEnd);

absl::StatusOr<double> Launch(const Context& context) {
  const auto start = std::chrono::steady_clock::now();
  BROOD_ASSIGN_OR_RETURN(Process process, context.Start(Idle));
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
  if (!outcome.ok()) return absl::InternalError(outcome.ToString());
  return time.count();
}

// As many of `live` as may be here. A child has its keeper besides, and here some descriptors.
int RoomFor(int live) {
  constexpr int kOpenFilesOfEach = 8, kOthers = 1024;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto wanted = static_cast<rlim_t>(live) * kOpenFilesOfEach + kOthers;
  limit.rlim_max = std::max(limit.rlim_max, wanted);  // With the right to.
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) live = std::max(0, (static_cast<int>(limit.rlim_cur) - kOthers) / kOpenFilesOfEach);
  char text[64];
  if (child::ReadFile(AT_FDCWD, "/proc/sys/kernel/pid_max", text, sizeof(text)) <= 0) return live;
  return std::min(live, atoi(text) / 3);
}

// Calls, from a thread that has `processor` for itself, as has the server.
class PinnedServer {
 public:
  explicit PinnedServer(int processor) : processor_(processor) {
    std::thread([this] {
      Pin();
      absl::StatusOr<Server> server = Server::Start();
      status_ = server.status();
      if (server.ok()) server_.emplace(*std::move(server));
    }).join();
  }
  const absl::Status& status() const { return status_; }

  std::thread Begin(int calls) {
    return std::thread([this, calls] {
      Pin();
      for (int i = 0; i < calls && status_.ok(); ++i) status_ = server_->Call("bench.idle").status();
    });
  }

 private:
  void Pin() const {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor_, &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  const int processor_;
  absl::Status status_;
  std::optional<Server> server_;
};

std::vector<int> Processors() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> all;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) all.push_back(cpu);
  }
  return all;
}

}  // namespace

Contest LaunchBesideLive(int rounds, int wanted) {
  Contest contest(absl::StrCat("launch beside ", wanted), "none live");
  const int live = RoomFor(wanted);
  const std::string beside = absl::StrCat(live, live < wanted ? " live, the most here" : " live");
  // Not in turns: what exists, exists for both. Half of the launches that have nobody beside them are before, half after.
  const Context context(StartMethod::kForkServer, {.preload = {"bench.idle"}});  // One that has these limits.
  std::vector<double> alone, besides;
  absl::Status status;
  const auto launch = [&](int times, std::vector<double>& to) {
    for (int i = 0; i < times + 20 && status.ok(); ++i) {
      const absl::StatusOr<double> time = Launch(context);
      status = time.status();
      if (time.ok() && i >= 20) to.push_back(*time);
    }
  };
  launch(rounds / 2, alone);
  int pipe[2] = {-1, -1};
  if (status.ok() && pipe2(pipe, O_CLOEXEC) != 0) status = ErrnoStatus(errno, "pipe");
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  std::vector<Process> children;
  for (int i = 0; i < live && status.ok(); ++i) {
    absl::StatusOr<Process> child = context.Start(AwaitEnd, reader);
    status = child.status();
    if (child.ok()) children.push_back(*std::move(child));
  }
  launch(rounds, besides);
  const size_t born = children.size();
  writer.reset();
  for (Process& child : children) (void)child.Join();
  children.clear();
  launch(rounds - rounds / 2, alone);
  if (!status.ok()) {
    contest.Skip(beside, absl::StrCat("with ", born, " live: ", status.message()));
    return contest;
  }
  const auto told = [](std::vector<double> times) {
    return [times]() mutable -> absl::StatusOr<double> {
      const double time = times.back();
      times.pop_back();
      return time;
    };
  };
  contest.AddTimed("none live", told(alone));
  contest.AddTimed(beside, told(besides));
  contest.Run(rounds, 0);
  return contest;
}

// Of a process, in KiB: page tables and pages of its own.
absl::StatusOr<double> OwnMemory(pid_t pid) {
  char status[8192], rollup[4096];
  const std::string of = absl::StrCat("/proc/", pid);
  if (child::ReadFile(AT_FDCWD, (of + "/status").c_str(), status, sizeof(status)) <= 0 ||
      child::ReadFile(AT_FDCWD, (of + "/smaps_rollup").c_str(), rollup, sizeof(rollup)) <= 0) {
    return absl::InternalError("the kernel does not tell");
  }
  return static_cast<double>(child::NumberAfter(status, "VmPTE:", 0) + child::NumberAfter(rollup, "Private_Clean:", 0) +
                             child::NumberAfter(rollup, "Private_Dirty:", 0));
}

// Of the machine, in KiB: stacks of processes in the kernel, and what it has allocated and cannot give back. proc(5), meminfo
double KernelMemory() {
  char info[8192];
  if (child::ReadFile(AT_FDCWD, "/proc/meminfo", info, sizeof(info)) <= 0) return 0;
  return static_cast<double>(child::NumberAfter(info, "KernelStack:", 0) + child::NumberAfter(info, "SUnreclaim:", 0));
}

// Of one of many that live at once: what a process of another program changes meanwhile is little beside these.
absl::StatusOr<double> HoldMany(const Context& context) {
  constexpr int kChildren = 500;
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  std::vector<Process> children;
  const double before = KernelMemory();
  absl::Status status;
  for (int i = 0; i < kChildren && status.ok(); ++i) {
    absl::StatusOr<Process> child = context.Start(AwaitEnd, reader);
    status = child.status();
    if (child.ok()) children.push_back(*std::move(child));
  }
  const double kernels = (KernelMemory() - before) / kChildren;
  absl::StatusOr<double> own = status.ok() ? OwnMemory(children.back().pid()) : status;
  writer.reset();
  for (Process& child : children) (void)child.Join();
  if (own.ok()) *own += kernels;
  return own;
}

Contest HoldIdle(int rounds) {
  Contest contest("memory of an idle child, 1 GiB preloaded", "nothing", "KiB");
  const auto add = [&](const std::string& name, const ContextOptions& options) {
    const Context context(StartMethod::kForkServer, options);
    if (const absl::Status ready = context.StartServer(); !ready.ok()) return contest.Skip(name, std::string(ready.message()));
    contest.AddTimed(name, [context]() -> absl::StatusOr<double> {
      int pipe[2];
      if (pipe2(pipe, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
      const UniqueFd reader(pipe[0]);
      UniqueFd writer(pipe[1]);
      BROOD_ASSIGN_OR_RETURN(Process child, context.Start(AwaitEnd, reader));
      absl::StatusOr<double> own = OwnMemory(child.pid());
      writer.reset();
      BROOD_RETURN_IF_ERROR(child.Join().status());
      return own;
    });
  };
  ContextOptions options;
  add("nothing", options);
  options.preload = {"LoadGibOfHeap"};
  add("heap", options);
  options.freeze = Freeze::kOn;
  add("frozen heap", options);
  // The first round is where those keepers come from that are idle afterwards; each needs more.
  contest.AddTimed("frozen heap, and the kernel's", [context = Context(StartMethod::kForkServer, options)] { return HoldMany(context); });
  contest.Run(rounds, 1);
  return contest;
}

Contest CallTwoServers(int rounds) {
  constexpr int kCalls = 50;
  Contest contest("calls on two processors", "one server");
  const std::vector<int> processors = Processors();
  if (processors.size() < 2) {
    contest.Skip("two servers", "there is one processor");
    return contest;
  }
  auto first = std::make_shared<PinnedServer>(processors[0]), second = std::make_shared<PinnedServer>(processors[1]);
  const auto timed = [](std::vector<std::shared_ptr<PinnedServer>> servers) {
    return [servers]() -> absl::StatusOr<double> {
      const auto start = std::chrono::steady_clock::now();
      std::vector<std::thread> threads;
      for (const auto& server : servers) threads.push_back(server->Begin(kCalls));
      for (std::thread& thread : threads) thread.join();
      const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
      for (const auto& server : servers) BROOD_RETURN_IF_ERROR(server->status());
      return time.count() / (kCalls * static_cast<double>(servers.size()));
    };
  };
  contest.AddTimed("one server", timed({first}));
  contest.AddTimed("two servers", timed({first, second}));
  contest.Run(rounds);
  return contest;
}

}  // namespace brood
