#include "launcher/limit_watch_child.h"

#include <unistd.h>

#include <algorithm>

#include "base/child_safe.h"
#include "launcher/tree_child.h"
#include "sandbox/cgroup_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kSampleNs = 10ull * 1'000'000;
constexpr uint64_t kCountNs = 50ull * 1'000'000;
constexpr uint64_t kOomCheckNs = 100ull * 1'000'000;

}  // namespace

void LimitWatch::Begin(uint64_t time_ns) {
  if (record_.wall_ns > 0) wall_deadline_ = time_ns + record_.wall_ns;
}

void LimitWatch::Schedule() {
  uint64_t interval = UINT64_MAX;
  if (record_.cgroup.limits_memory) interval = kOomCheckNs;
  if (record_.counted_processes > 0) interval = kCountNs;
  if (record_.sampled_memory_bytes > 0) interval = kSampleNs;
  if (record_.cpu_ns > 0) {
    // As late as the limit could be reached with all processors of the machine, but not so late that it is overrun.
    const uint64_t left = record_.cpu_ns > cpu_seen_ ? record_.cpu_ns - cpu_seen_ : 0;
    const uint64_t soon = std::max(left / static_cast<uint64_t>(sysconf(_SC_NPROCESSORS_ONLN)), kSampleNs / 2);
    interval = std::min({interval, soon, kOomCheckNs});
  }
  if (interval != UINT64_MAX) next_check_ = MonotonicNanoseconds() + interval;
}

uint64_t LimitWatch::next() const {
  uint64_t next = UINT64_MAX;
  if (wall_deadline_ != 0) next = wall_deadline_;
  if (next_check_ != 0) next = std::min(next, next_check_);
  return next;
}

EndCause LimitWatch::Check(uint64_t now, pid_t root) {
  if (wall_deadline_ != 0 && now >= wall_deadline_) return EndCause::kWallTime;
  if (next_check_ == 0 || now < next_check_) return EndCause::kNone;
  CgroupUsage usage;
  if (record_.cgroup.count > 0) usage = ReadCgroupUsage(record_.cgroup);
  if (usage.oom_kills > 0) return EndCause::kMemory;
  cpu_seen_ = usage.cpu_ns;
  if (record_.sampled_memory_bytes > 0 || (record_.cpu_ns > 0 && !record_.cgroup.counts_cpu) ||
      record_.counted_processes > 0) {
    const TreeSample sample = SampleTree(root, SampleDepth::kUsage);
    memory_peak_ = std::max(memory_peak_, sample.memory_bytes);
    if (!record_.cgroup.counts_cpu) cpu_seen_ = sample.cpu_ns;
    CountTasks(sample.tasks);
    if (record_.sampled_memory_bytes > 0 && sample.memory_bytes > record_.sampled_memory_bytes) return EndCause::kMemory;
  }
  if (record_.cpu_ns > 0 && cpu_seen_ >= record_.cpu_ns) return EndCause::kCpuTime;
  Schedule();
  return EndCause::kNone;
}

bool LimitWatch::BeginGrace(uint64_t now) {
  if (record_.grace_ns == 0 || in_grace_) return false;
  in_grace_ = true;
  wall_deadline_ = now + record_.grace_ns;
  return true;
}

void LimitWatch::CountTasks(uint64_t tasks) {
  if (record_.counted_processes > 0 && tasks >= record_.counted_processes) processes_at_limit_ = true;
}

}  // namespace brood::child
