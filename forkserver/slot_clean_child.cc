// Whether the next child of a slot finds what the last one found.
#include <sys/ipc.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "base/raw_syscall_child.h"
#include "forkserver/slot_child.h"

namespace brood::child {

bool KeptSlot::Look(Folder* folder) const {
  long error = RawSyscall(SYS_fstatfs, folder->fd, &folder->space);
  if (error == 0) error = RawSyscall(SYS_fstat, folder->fd, &folder->about);
  if (error == 0) return true;
  errno = static_cast<int>(-error);
  return false;
}

// What is sent over an interface leaves more than these counters (connections that are not forgotten yet, routes, fragments),
// but nothing without them. proc(5), /proc/net/dev
bool KeptSlot::NetIsUnchanged() {
  if (net_ < 0) return true;
  char text[kNetSize] = {};
  const long length = RawSyscall(SYS_pread64, net_, text, static_cast<long>(sizeof(text)), 0);
  const bool same = length > 0 && memcmp(text, net_text_, sizeof(text)) == 0;
  memcpy(net_text_, text, sizeof(text));
  return same;
}

// A number is a place, which goes round, and how often it has: ipc/util.c, ipc_idr_alloc(), with no object there.
bool IpcWatch::Unchanged() {
  constexpr int kPlaces = 64;           // ipc_min_cycle
  constexpr int kRound = 1 << 15;       // IPCMNI_SHIFT
  constexpr int kRounds = 1 << 16;      // The sign bit is none of it.
  const long made[3] = {RawSyscall(SYS_semget, IPC_PRIVATE, 1, 0600), RawSyscall(SYS_msgget, IPC_PRIVATE, 0600),
                        RawSyscall(SYS_shmget, IPC_PRIVATE, 1, 0600)};
  if (made[0] >= 0) RawSyscall(SYS_semctl, made[0], 0, IPC_RMID);
  if (made[1] >= 0) RawSyscall(SYS_msgctl, made[1], IPC_RMID, nullptr);
  if (made[2] >= 0) RawSyscall(SYS_shmctl, made[2], IPC_RMID, nullptr);
  bool same = true;
  for (int kind = 0; kind < 3; ++kind) {
    same = same && made[kind] >= 0 && made[kind] == next_[kind];
    const long place = made[kind] % kRound;
    const long round = made[kind] / kRound;
    next_[kind] = static_cast<int>(place + 1 < kPlaces ? made[kind] + 1 : ((round + 1) % kRounds) * kRound);
  }
  return same;
}

// A file system of the slot's own has nothing in it, and its root is as it was. Where the times are the same as before they
// tell nothing, and what they could have told of is looked at: what is there, whose it is, and what is written beside it.
bool KeptSlot::IsClean() {
  if (!NetIsUnchanged() || (watches_ipc_ && !ipc_.Unchanged())) return false;
  for (uint32_t i = 0; i < folder_count_; ++i) {
    const Folder& before = folders_[i];
    Folder now;
    now.fd = before.fd;
    char name[8];
    if (!Look(&now)) return false;
    const struct stat& a = before.about;
    const struct stat& b = now.about;
    if (now.space.f_bfree != before.space.f_bfree || now.space.f_ffree != before.space.f_ffree || b.st_mode != a.st_mode ||
        b.st_uid != a.st_uid || b.st_gid != a.st_gid || b.st_nlink != a.st_nlink || b.st_size != a.st_size ||
        b.st_mtim.tv_sec != a.st_mtim.tv_sec || b.st_mtim.tv_nsec != a.st_mtim.tv_nsec ||
        b.st_ctim.tv_sec != a.st_ctim.tv_sec || b.st_ctim.tv_nsec != a.st_ctim.tv_nsec ||
        b.st_atim.tv_sec != a.st_atim.tv_sec || b.st_atim.tv_nsec != a.st_atim.tv_nsec ||
        RawSyscall(SYS_flistxattr, now.fd, name, 0) > 0) {
      return false;
    }
  }
  return true;
}

void KeptSlot::Rehearse() {
  net_ = processes_ = counters_[0] = counters_[1] = static_cast<int>(RawSyscall(SYS_openat, -1, "/proc/self/net/dev", 0));
  MonotonicNanoseconds();
  HasProcesses();
  TakeUsage();
  NetIsUnchanged();
  IsClean();
}

}  // namespace brood::child
