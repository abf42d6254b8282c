#include "launcher/keeper_report.h"

#include <algorithm>
#include <iterator>

#include "launcher/served_child.h"
#include "launcher/usage.h"

namespace brood::internal {

GuardianReport ReportOf(const child::KeeperNote& note) {
  GuardianReport report;
  report.pid = note.pid;
  if (note.kind == child::KeeperNote::Kind::kRefused) {
    report.setup_failed = 1;
    const bool threads = note.error == child::KeeperNote::kHasThreads;
    report.setup = SetupFailureOf(kServerStep, std::max(note.error, 0),
                                            threads ? "a preload has left threads running; see ContextOptions::preload"
                                            : note.error == child::KeeperNote::kHasNoGroup
                                                ? "make a cgroup for the child, below that of its sandbox; see docs/cgroups.md"
                                                : "fork the child; see the limits of processes, memory, open files and the size of files");
    return report;
  }
  report.started = 1;
  report.has_status = 1;
  report.status = note.status;
  report.tree_survived = note.tree_left;
  AddUsage(note, report);
  AddSlot(note, report);
  std::copy(std::begin(note.stream_bytes), std::end(note.stream_bytes), report.stream_bytes);
  std::copy(std::begin(note.stream_truncated), std::end(note.stream_truncated), report.stream_truncated);
  std::copy(std::begin(note.stream_errors), std::end(note.stream_errors), report.stream_errors);
  return report;
}

}  // namespace brood::internal
