// What is nobody's: processes that became the supervisor's when the one above them ended; the rest of the class is in
// supervisor_linux.cc.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "forkserver/supervisor.h"

namespace brood::internal {
namespace {

constexpr int64_t kEndPatienceNs = 2'000'000'000;  // For what cannot be killed: it waits for a file.

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

}  // namespace

// What a child has left whose keeper was killed; the child itself is killed by that. A guardian goes on, and is left alone.
void Supervisor::EndStrays() {
  strays_ = coming_ > 0;  // One that has not said its number yet would be taken for one.
  if (!strays_) (void)KillStrays();
}

bool Supervisor::KillStrays() {
  char text[65536];
  const std::string path = absl::StrCat("/proc/self/task/", getpid(), "/children");
  if (guardians_strayed_ || child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) <= 0) return false;
  bool killed = false;
  for (const char* at = text; *at != '\0';) {
    const auto pid = static_cast<pid_t>(child::ParseNumber(at));
    const char* const next = strchr(at, ' ');
    if (next == nullptr) break;
    at = next + 1;
    const bool known = pid == forker_.pid() ||
                       std::any_of(keepers_.begin(), keepers_.end(), [pid](const Keeper& keeper) {
                         return keeper.pid == pid || keeper.shield == pid || (keeper.slot != nullptr && keeper.slot->pid() == pid);
                       });
    // Its keeper is there as long as it is.
    const bool leaves = std::any_of(leaving_.begin(), leaving_.end(), [pid](const auto& leaving) { return leaving.first == pid; });
    const bool ends = leaves || std::any_of(ending_slots_.begin(), ending_slots_.end(), [pid](const EndingSlot& ending) {
      return ending.keeper == pid || ending.slot->pid() == pid;
    });
    // Ours, and reaped by nobody else: the number is its.
    if (known || ends) continue;
    kill(pid, SIGKILL);
    killed = true;
  }
  return killed;
}

// What a preload has started, and its server does not end any more: each process is ours once the one above it has ended.
void Supervisor::EndPreload() {
  const int64_t begin = Now();
  forker_.Kill();
  while ((forker_.pid() > 0 || KillStrays()) && Now() - begin < kEndPatienceNs) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid < 0 && errno == ECHILD) break;
    if (pid == 0) poll(nullptr, 0, 1);
    if (pid <= 0) continue;
    if (pid == forker_.pid()) forker_.OnReaped(status);
    if (pid == forker_.pid()) (void)forker_.Reap();
  }
}

}  // namespace brood::internal
