#include "benchmarks/fork_helper.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

struct Answer {
  double time_us = -1;
  char error[400] = {};  // Zero-terminated. Empty: none.
};

int Processor() {
  static const int one = std::max(sched_getcpu(), 0);
  return one;
}

void HaveOneProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(Processor(), &one);
  sched_setaffinity(0, sizeof(one), &one);
}

double ForkAndWait(void (*work)()) {
  const auto start = std::chrono::steady_clock::now();
  // What fork(3) does around that is the C library's, and the same with any memory.
  const auto pid = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (pid == 0) {
    if (work != nullptr) work();
    _exit(0);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) return -1;
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

[[noreturn]] void Serve(int socket, const absl::Status& loaded, void (*work)()) {
  Answer answer;
  const std::string_view text = loaded.message();
  memcpy(answer.error, text.data(), std::min(text.size(), sizeof(answer.error) - 1));
  char byte = 0;
  while (send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) && recv(socket, &byte, 1, 0) == 1) {
    (void)ForkAndWait(work);
    answer.time_us = ForkAndWait(work);
  }
  _exit(0);
}

absl::StatusOr<double> Receive(int socket) {
  Answer answer;
  if (recv(socket, &answer, sizeof(answer), 0) != sizeof(answer)) return absl::AbortedError("the helper has ended");
  if (answer.error[0] != '\0') return absl::AbortedError(answer.error);
  return answer.time_us;
}

}  // namespace

absl::StatusOr<std::shared_ptr<ForkHelper>> ForkHelper::Start(const std::function<absl::Status()>& load, void (*work)()) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return ErrnoStatus(errno, "socketpair");
  auto helper = std::make_shared<ForkHelper>();
  (void)Processor();  // Before the first fork.
  helper->socket_.reset(ends[0]);
  const UniqueFd other(ends[1]);
  helper->pid_ = fork();
  if (helper->pid_ < 0) return ErrnoStatus(errno, "fork");
  if (helper->pid_ == 0) {
    helper->socket_.reset();
    HaveOneProcessor();
    Serve(other.get(), load(), work);
  }
  BROOD_RETURN_IF_ERROR(Receive(helper->socket_.get()).status());
  return helper;
}

ForkHelper::~ForkHelper() {
  shutdown(socket_.get(), SHUT_RDWR);  // Later helpers have a copy of it.
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

absl::StatusOr<double> ForkHelper::Fork() {
  char byte = 0;
  if (send(socket_.get(), &byte, 1, MSG_NOSIGNAL) != 1) return ErrnoStatus(errno, "ask the helper");
  BROOD_ASSIGN_OR_RETURN(const double time_us, Receive(socket_.get()));
  if (time_us < 0) return absl::InternalError("the helper could not fork");
  return time_us;
}

}  // namespace brood
