// What a Process holds on Windows besides.
#ifndef BROOD_LAUNCHER_WINDOWS_STATE_H_
#define BROOD_LAUNCHER_WINDOWS_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "launcher/job_windows.h"
#include "launcher/launch_options.h"
#include "launcher/output_pump_windows.h"
#include "launcher/process_state.h"

namespace brood::internal {

// With which brood ends processes: told from a code that the child gave by who asked, not by the number alone. The first is
// that of Python's Process.terminate().
inline constexpr uint32_t kTerminatedCode = 0x10000;
inline constexpr uint32_t kKilledCode = 0x10001;
inline constexpr uint32_t kWallTimeCode = 0x10002;
inline constexpr uint32_t kLeftOverCode = 0x10003;  // What the child left running.
inline constexpr uint32_t kCpuTimeCode = 0x10004;
inline constexpr uint32_t kOutputCode = 0x10005;

// Every ProcessState is one. The mutex of that guards this too. `sentinel` is the process.
struct WindowsState : ProcessState {
  Job job;
  std::unique_ptr<OutputPump> output;  // With a limit of output. It uses the job.
  UniqueFd setup;        // Functions: where the child's bootstrap says that the target runs.
  TreeEnd tree_end = TreeEnd::kKill;
  bool terminated = false;   // Somebody has asked for it, and it was running.
  bool out_of_time = false;  // Likewise the wall-time limit.
  bool out_of_cpu = false;   // Likewise the limit of CPU time.
  std::optional<absl::Duration> cpu_limit;
  void* timers[2] = {};      // PTP_TIMER of these two limits.
  std::map<Layer, std::string> enforced_at_birth;  // Besides what the policy says.
  uint64_t keep_bytes[2] = {};  // Of what is captured: more is counted, and cut off at the end.

  ~WindowsState() override;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_WINDOWS_STATE_H_
