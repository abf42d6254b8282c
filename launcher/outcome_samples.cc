#include "launcher/outcome_samples.h"

#include <cerrno>
#include <csignal>

#include "base/signals.h"

namespace brood {

std::vector<Outcome> SampleOutcomes() {
  std::vector<Outcome> outcomes(13);
  outcomes[0].ending = Exited{0};
  outcomes[1].ending = Exited{255};
  outcomes[2].ending = Signaled{.signal = SIGSEGV, .core_dumped = true};
  outcomes[3].ending = Signaled{.signal = kSignalKill, .core_dumped = false};
  outcomes[4].ending = TimedOut{};
  outcomes[5].ending = LimitHit{Layer::kMemory};
  outcomes[6].ending = LimitHit{Layer::kCpuTime};
  outcomes[7].ending = LimitHit{Layer::kOutput};
  outcomes[8].ending = Signaled{.signal = kSignalFileSize, .core_dumped = false};
  outcomes[9].ending = Violation{.syscall = "mount",
                                 .number = 165,
                                 .args = {~uint64_t{0}, 1, 2, 3, 4, uint64_t{1} << 63},
                                 .decoded = {"\"none\"", "0x1"},
                                 .arch = "x86_64",
                                 .tid = 4'194'304,
                                 .instruction_pointer = 0x7fff'ffff'f000,
                                 .stack = {{.address = 0x7fff'ffff'f000, .function = "syscall", .offset = 29, .file = "/usr/lib/libc.so.6"},
                                           {.address = 4096, .function = "", .offset = 0, .file = ""}},
                                 .stack_end = "no code there"};
  outcomes[10].ending = Violation{.syscall = "unknown"};
  outcomes[11].ending = SetupFailed{.step = "exec", .error_number = ENOENT, .detail = "/no/such: \"\xc3\xa9\"\n"};
  outcomes[12].ending = Lost{"the guardian was killed"};
  for (Outcome& outcome : outcomes) {
    outcome.usage = {.wall_time = absl::Milliseconds(1234),
                     .cpu_time = absl::Milliseconds(567),
                     .memory_peak_bytes = (uint64_t{1} << 40) + 1,
                     .max_rss_bytes = 4096};
    outcome.start = absl::FromUnixMillis(1'600'000'000'123);
    if (const auto* hit = std::get_if<LimitHit>(&outcome.ending)) outcome.limits_hit.push_back(hit->limit);
    outcome.limits_hit.push_back(Layer::kProcesses);
    outcome.enforced = {{Layer::kMemory, "cgroup v2"}, {Layer::kSeccomp, "seccomp filter, 328 instructions"}};
    outcome.copied = {{.source = "/tmp/a", .destination = "a", .bytes = uint64_t{1} << 33, .problem = ""},
                      {.source = "/tmp/b", .destination = "/out/b", .bytes = 0, .problem = "missing"}};
    outcome.refused = {{.to = "10.0.0.5:443", .count = 2}, {.to = "others", .count = uint64_t{1} << 40}};
    outcome.notified = {{.syscall = "uname", .number = 63, .count = 3, .first_args = {1, 2, 3, 4, 5, ~uint64_t{0}}}};
    outcome.kept_groups = {27, 4'294'967'294};
    outcome.stdout_result = {.bytes = uint64_t{1} << 33, .truncated = true, .error_number = EIO};
    outcome.stderr_result = {.bytes = 7, .truncated = true, .error_number = ENOSPC};
  }
  // Nothing known at all.
  outcomes.push_back({});
  return outcomes;
}

}  // namespace brood
