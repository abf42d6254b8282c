#include "launcher/time_limits_windows.h"

#include <windows.h>

#include <utility>

#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood::internal {
namespace {

bool Runs(const WindowsState& state) {
  return !state.outcome.has_value() && state.sentinel.valid() &&
         WaitForSingleObject(HandleOf(state.sentinel.get()), 0) == WAIT_TIMEOUT;
}

void CALLBACK EndInTime(PTP_CALLBACK_INSTANCE /*instance*/, void* context, PTP_TIMER /*timer*/) {
  auto& state = *static_cast<WindowsState*>(context);
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!Runs(state)) return;
  state.out_of_time = true;
  (void)state.job.Terminate(kWallTimeCode);
}

void CALLBACK LookAtCpuTime(PTP_CALLBACK_INSTANCE /*instance*/, void* context, PTP_TIMER /*timer*/) {
  auto& state = *static_cast<WindowsState*>(context);
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!Runs(state) || state.job.CpuTime() < *state.cpu_limit) return;
  state.out_of_cpu = true;
  (void)state.job.Terminate(kCpuTimeCode);
}

absl::Status StartTimer(WindowsState& state, int index, PTP_TIMER_CALLBACK callback, absl::Duration after, DWORD period_ms) {
  PTP_TIMER const timer = CreateThreadpoolTimer(callback, &state, nullptr);
  if (timer == nullptr) return LastErrorStatus("CreateThreadpoolTimer", "for a limit of time");
  state.timers[index] = timer;
  // Relative times are negative, in units of 100 nanoseconds.
  ULARGE_INTEGER due;
  due.QuadPart = static_cast<ULONGLONG>(-absl::ToInt64Nanoseconds(absl::Ceil(after, absl::Nanoseconds(100))) / 100);
  FILETIME at = {.dwLowDateTime = due.LowPart, .dwHighDateTime = due.HighPart};
  SetThreadpoolTimer(timer, &at, period_ms, 0);
  return absl::OkStatus();
}

}  // namespace

absl::Status StartWallTime(WindowsState& state, absl::Duration limit) { return StartTimer(state, 0, EndInTime, limit, 0); }

absl::Status StartCpuTime(WindowsState& state, absl::Duration limit) {
  constexpr DWORD kPeriodMs = 100;
  state.cpu_limit = limit;
  return StartTimer(state, 1, LookAtCpuTime, absl::Milliseconds(kPeriodMs), kPeriodMs);
}

void StopTimeLimits(WindowsState& state) {
  for (void*& slot : state.timers) {
    PTP_TIMER timer;
    {
      const std::lock_guard<std::mutex> lock(state.mutex);
      timer = static_cast<PTP_TIMER>(std::exchange(slot, nullptr));
    }
    if (timer == nullptr) continue;
    SetThreadpoolTimer(timer, nullptr, 0, 0);
    WaitForThreadpoolTimerCallbacks(timer, TRUE);
    CloseThreadpoolTimer(timer);
  }
}

}  // namespace brood::internal
