#include "launcher/wall_time_windows.h"

#include <windows.h>

#include <utility>

#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood::internal {
namespace {

void CALLBACK EndInTime(PTP_CALLBACK_INSTANCE /*instance*/, void* context, PTP_TIMER /*timer*/) {
  auto& state = *static_cast<WindowsState*>(context);
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.outcome.has_value() || !state.sentinel.valid()) return;
  if (WaitForSingleObject(HandleOf(state.sentinel.get()), 0) != WAIT_TIMEOUT) return;
  state.out_of_time = true;
  (void)state.job.Terminate(kWallTimeCode);
}

}  // namespace

absl::Status StartWallTime(WindowsState& state, absl::Duration limit) {
  PTP_TIMER const timer = CreateThreadpoolTimer(EndInTime, &state, nullptr);
  if (timer == nullptr) return LastErrorStatus("CreateThreadpoolTimer", "for the wall-time limit");
  state.timer = timer;
  // Relative times are negative, in units of 100 nanoseconds.
  ULARGE_INTEGER due;
  due.QuadPart = static_cast<ULONGLONG>(-absl::ToInt64Nanoseconds(absl::Ceil(limit, absl::Nanoseconds(100))) / 100);
  FILETIME at = {.dwLowDateTime = due.LowPart, .dwHighDateTime = due.HighPart};
  SetThreadpoolTimer(timer, &at, 0, 0);
  return absl::OkStatus();
}

void StopWallTime(WindowsState& state) {
  PTP_TIMER timer;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    timer = static_cast<PTP_TIMER>(std::exchange(state.timer, nullptr));
  }
  if (timer == nullptr) return;
  SetThreadpoolTimer(timer, nullptr, 0, 0);
  WaitForThreadpoolTimerCallbacks(timer, TRUE);
  CloseThreadpoolTimer(timer);
}

}  // namespace brood::internal
