#include "launcher/guardian_end_child.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "launcher/descriptors_child.h"

namespace brood::child {
namespace {

// True when there is nothing left to wait for.
bool LetGo(const LaunchRecord& record) {
  if (record.let_go != nullptr && record.let_go->load(std::memory_order_acquire) != 0) return true;
  pollfd polls[] = {{record.control, POLLIN, 0}, {record.owner, POLLIN, 0}};
  if (poll(polls, 2, -1) < 0) return errno != EINTR;
  if (polls[1].revents != 0) return true;
  if (polls[0].revents == 0) return false;
  GuardianCommand command;
  const ssize_t n = recv(record.control, &command, sizeof(command), MSG_DONTWAIT);
  if (n < 0) return errno != EAGAIN && errno != EINTR;
  // Signals for a child that has ended meanwhile are for nobody.
  return n == 0 || command.kind == GuardianCommand::Kind::kLetGo;
}

}  // namespace

void TellAndLeave(const LaunchRecord& record, const GuardianReport& report, bool let_go) {
  // Readers of what the child wrote see its end now, and locks are free.
  const int keep[] = {record.control, record.owner, record.report};
  const bool alone = CloseAllBut(keep, 3) == 0;
  // One write below PIPE_BUF into an empty pipe of our own: it neither blocks nor tears. If the caller is gone the
  // signal is blocked and the error says nothing new.
  while (write(record.report, &report, sizeof(report)) < 0 && errno == EINTR) {
  }
  if (record.stays && !let_go && alone) {
    while (!LetGo(record)) {
    }
  }
  syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace brood::child
