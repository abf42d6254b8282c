#include <windows.h>

#include <atomic>

#include "base/signals.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "cli/signals.h"

namespace brood {
namespace {

// What the console has told and nobody has taken yet. The handler runs in a thread of its own that the system starts.
std::atomic<int> g_told{0};
std::atomic<HANDLE> g_event{nullptr};

BOOL WINAPI OnConsole(DWORD event) {
  // The system ends the process a few seconds after it was told of the end of the console, the session or the machine,
  // whatever is returned here. HandlerRoutine.
  (void)event;
  g_told.fetch_add(1);
  SetEvent(g_event.load());
  return TRUE;
}

}  // namespace

absl::StatusOr<SignalSource> SignalSource::Create(Which /*which*/) {
  SignalSource source;
  source.fd_ = Own(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!source.fd_.valid()) return LastErrorStatus("CreateEvent", "for signals");
  // The handler's own handle, which outlives this object.
  UniqueFd copy = Duplicate(source.fd_.get());
  if (!copy.valid()) return LastErrorStatus("DuplicateHandle", "for signals");
  g_event = HandleOf(copy.release());
  if (!SetConsoleCtrlHandler(OnConsole, TRUE)) return LastErrorStatus("SetConsoleCtrlHandler");
  return source;
}

std::optional<CaughtSignal> SignalSource::Next() {
  // Reset first: what is told after that sets it again.
  ResetEvent(HandleOf(fd_.get()));
  int told = g_told.load();
  while (told > 0) {
    if (!g_told.compare_exchange_weak(told, told - 1)) continue;
    if (told > 1) SetEvent(HandleOf(fd_.get()));
    told_to_end_ = true;
    // All programs of the console are told.
    return CaughtSignal{.number = kSignalTerminate, .from_terminal = true};
  }
  return std::nullopt;
}

void IgnoreBrokenPipes() {}

}  // namespace brood
