#include "launcher/terminal_linux.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/landlock_abi.h"
#include "sandbox/mounts_child.h"

namespace brood {
namespace {

constexpr char kOwnTerminal[] = "/dev/tty";  // The one that controls whoever opens it; of all others it says nothing. tty(4)

// Its name, if that leads to it: /dev/pts may be another instance than the one that /dev/ptmx is of. devpts in the kernel's documentation.
std::string NameOf(int slave) {
  char name[PATH_MAX];
  const ssize_t length = readlink(absl::StrCat("/proc/self/fd/", slave).c_str(), name, sizeof(name));
  if (length <= 0 || length == static_cast<ssize_t>(sizeof(name))) return "";
  std::string path(name, static_cast<size_t>(length));
  struct stat named, opened;
  if (!absl::StartsWith(path, "/dev/pts/") || lstat(path.c_str(), &named) != 0 || fstat(slave, &opened) != 0) return "";
  return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino && named.st_rdev == opened.st_rdev ? path : "";
}

}  // namespace

absl::StatusOr<TerminalPair> OpenTerminal(const Terminal& terminal) {
  termios settings;
  winsize size = {.ws_row = terminal.rows, .ws_col = terminal.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (terminal.like >= 0 && (tcgetattr(terminal.like, &settings) != 0 || ioctl(terminal.like, TIOCGWINSZ, &size) != 0)) {
    if (errno == ENOTTY) return absl::InvalidArgumentError("terminal: `like` is no terminal");
    return ErrnoStatus(errno, "terminal: look at", "the one that it is to be like");
  }
  TerminalPair pair;
  pair.master.reset(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!pair.master.valid()) return ErrnoStatus(errno, "terminal: open", "/dev/ptmx", "a pseudo-terminal needs devpts mounted at /dev/pts");
  if (unlockpt(pair.master.get()) != 0) return ErrnoStatus(errno, "terminal: unlockpt");
  // Not by its name, which may be another's in this mount namespace. ioctl_tty(2)
  pair.slave.reset(ioctl(pair.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pair.slave.valid()) return ErrnoStatus(errno, "terminal: open", "the child's side");
  // Nobody else may write to it, as the group tty may where wall(1) is to work.
  if (fchmod(pair.slave.get(), 0600) != 0) return ErrnoStatus(errno, "terminal: chmod");
  if (terminal.like < 0) {
    if (tcgetattr(pair.slave.get(), &settings) != 0) return ErrnoStatus(errno, "terminal: tcgetattr");
    if (!terminal.echo) settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  }
  if (tcsetattr(pair.slave.get(), TCSANOW, &settings) != 0) return ErrnoStatus(errno, "terminal: tcsetattr");
  if (ioctl(pair.slave.get(), TIOCSWINSZ, &size) != 0) return ErrnoStatus(errno, "terminal: set its size");
  return pair;
}

void TerminalView::Add(int slave, ChildPlan* plan) {
  bool own_dev = false;
  bool has_tty = false;
  for (size_t i = 0; i < plan->mount_count; ++i) {
    const std::string_view target = plan->mounts[i].target;
    own_dev = own_dev || target == "dev/null";
    if (target == "dev" || target == "dev/pts") return;
    has_tty = has_tty || target == "dev/tty";
  }
  const bool mounts = plan->mount_count > 0;
  if (mounts && (!own_dev || plan->mount_count + 2 > child::kMaxMountSteps)) return;
  path_ = NameOf(slave);
  std::vector<const char*> paths;
  if (!has_tty) paths.push_back(kOwnTerminal);
  if (!path_.empty()) paths.push_back(path_.c_str());
  mounts_.assign(plan->mounts, plan->mounts + plan->mount_count);
  rules_.assign(plan->landlock_rules, plan->landlock_rules + plan->landlock_rule_count);
  for (const char* path : paths) {
    if (mounts) {
      mounts_.push_back({.kind = MountStep::Kind::kBind, .source = path, .target = path + 1, .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, .optional = true});
    }
    const uint64_t access = kLandlockReadFile | kLandlockWriteFile | kLandlockTruncate | kLandlockDeviceControl;
    if (plan->landlock_files != 0) rules_.push_back({.path = path, .access = access & plan->landlock_files, .optional = true});
  }
  if (mounts) {
    plan->mounts = mounts_.data();
    plan->mount_count = mounts_.size();
  }
  plan->landlock_rules = rules_.data();
  plan->landlock_rule_count = rules_.size();
}

}  // namespace brood
