#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/server_birth_child.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "forkserver/forker.h"
#include "forkserver/keeper_child.h"
#include "forkserver/request.h"

extern char** environ;

namespace brood::internal {
namespace {

// The kernel copies descriptors by the 64. fs/file.c, sane_fdtable_size()
constexpr int kFirstOther = 64;
// Below that they are needed for requests: then a server is born of a copy of all.
constexpr rlim_t kLimitToTakeNumbers = 256;

}  // namespace

absl::Status Forker::TakeNumbers() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < kLimitToTakeNumbers) return absl::OkStatus();
  while (numbers_.empty() || numbers_.back().get() + 1 < kFirstOther) {
    UniqueFd number(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!number.valid()) return ErrnoStatus(errno, "open", "/dev/null");
    if (number.get() >= kFirstOther) return absl::OkStatus();
    numbers_.push_back(std::move(number));
  }
  return absl::OkStatus();
}

absl::Status Forker::Start() {
  const UniqueFd executable(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!executable.valid()) return ErrnoStatus(errno, "open executable", "/proc/self/exe");
  const UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!self.valid()) return ErrnoStatus(errno, "pidfd_open");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  socket_.reset(pair[0]);
  const UniqueFd theirs(pair[1]);
  const std::string number = absl::StrCat(child::kServerSocket);
  const char* const argv[] = {program_invocation_name, kServerFlag, number.c_str(), nullptr};
  child::ServerBirth birth;
  birth.executable = executable.get();
  birth.socket = theirs.get();
  const bool has_numbers = numbers_.size() > 2;
  if (has_numbers) {
    birth.executable = dup3(executable.get(), numbers_[0].get(), O_CLOEXEC);
    birth.socket = dup3(theirs.get(), numbers_[1].get(), O_CLOEXEC);
    if (birth.executable < 0 || birth.socket < 0) return ErrnoStatus(errno, "duplicate a descriptor");
    birth.first_other = kFirstOther;
  }
  birth.argv = argv;
  birth.envp = environ;
  child::BearOwnServer(&birth);
  for (int i = 0; has_numbers && i < 2; ++i) dup3(numbers_.back().get(), numbers_[i].get(), O_CLOEXEC);
  pidfd_.reset(birth.pidfd);
  if (birth.step != nullptr) {
    if (pidfd_.valid()) Reap();
    return ErrnoStatus(birth.error, absl::StrCat("start the forkserver: ", birth.step));
  }
  pid_ = birth.pid;
  return SendRequest(socket_.get(), preparation_, {self.get()}, {.tag = ServerTag{.open_files = open_files_}.Encode()});
}

absl::StatusOr<UniqueFd> Forker::AskForKeeper(uint32_t number, bool for_slot) const {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const child::OrderTag tag = {.kind = child::OrderTag::Kind::kKeeper, .flags = number | (for_slot ? child::OrderTag::kShield : 0)};
  BROOD_RETURN_IF_ERROR(
      SendRequest(socket_.get(), "", {theirs.get()}, {.patience = absl::ZeroDuration(), .tag = tag.Encode()}));
  return ours;
}

void Forker::Kill() const {
  if (pidfd_.valid()) syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

std::string Forker::Reap() {
  int status = 0;
  if (!status_.has_value() && pid_ > 0) {
    while (waitpid(pid_, &status, __WALL) < 0 && errno == EINTR) {
    }
    status_ = status;
  }
  status = status_.value_or(0);
  status_.reset();
  pid_ = 0;
  pidfd_.reset();
  socket_.reset();
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSocketLost) {
    return absl::StrCat("exited with code ", kSocketLost, ", as it does where a preload has closed, or replaced, descriptors that it had not opened,");
  }
  if (!WIFSIGNALED(status)) return absl::StrCat("exited with code ", WEXITSTATUS(status));
  const char* const name = sigabbrev_np(WTERMSIG(status));
  return name != nullptr ? absl::StrCat("was ended by SIG", name) : absl::StrCat("was ended by signal ", WTERMSIG(status));
}

}  // namespace brood::internal
