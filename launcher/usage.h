// What the kernel says that a child has used, in a report.
#ifndef BROOD_LAUNCHER_USAGE_H_
#define BROOD_LAUNCHER_USAGE_H_

#include <sys/resource.h>

#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::internal {

// As of wait4(2): of the child and of those whose end it has waited for.
inline void AddUsage(const rusage& usage, GuardianReport& report) {
  const auto nanoseconds = [](const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(time.tv_usec) * 1000u;
  };
  report.cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
  report.max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024u;
}

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_USAGE_H_
