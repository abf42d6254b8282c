// What the kernel says that a child has used, in a report.
#ifndef BROOD_LAUNCHER_USAGE_H_
#define BROOD_LAUNCHER_USAGE_H_

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "forkserver/keeper_child.h"
#include "launcher/launch_record.h"

namespace brood::internal {

// As of wait4(2): of the child and of those whose end it has waited for.
inline void AddUsage(const child::KeeperNote& note, GuardianReport& report) {
  const rusage& usage = note.usage;
  const auto nanoseconds = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(time.tv_usec) * 1000u;
  };
  report.cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
  report.max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024u;
  report.wall_ns = note.wall_ns;
}

// What only the keeper of a slot knows.
inline void AddSlot(const child::KeeperNote& note, GuardianReport& report) {
  using Cause = child::KeeperNote::Cause;
  if (note.cause == Cause::kWallTime && report.cause == EndCause::kNone) report.cause = EndCause::kWallTime;
  if (note.cause == Cause::kCpuTime && report.cause == EndCause::kNone) report.cause = EndCause::kCpuTime;
  if (note.cause == Cause::kMemory && report.cause == EndCause::kNone) report.cause = EndCause::kMemory;
  if (note.cause == Cause::kOutput && report.cause == EndCause::kNone) report.cause = EndCause::kOutput;
  if (note.cause == Cause::kInitGone) report.has_status = 0;  // Its status is that of the init's end, and tells nothing of its own.
  if (note.cause == Cause::kViolation) {
    report.cause = EndCause::kViolation;
    report.violation_number = note.violation.number;
    report.violation_arch = note.violation.arch;
    report.violation_tid = note.violation.tid;
    report.violation_ip = note.violation.ip;
    std::copy(std::begin(note.violation.args), std::end(note.violation.args), report.violation_args);
  }
  report.memory_peak_bytes = note.slot_usage.memory_peak_bytes;
  report.oom_kills = note.slot_usage.oom_kills;
  report.process_refusals = note.slot_usage.process_refusals;
  report.cpu_ns = std::max(report.cpu_ns, note.slot_usage.cpu_ns);
}

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_USAGE_H_
