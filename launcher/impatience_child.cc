#include "launcher/impatience_child.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

namespace brood::child {
namespace {

constexpr suseconds_t kPatienceUs = 10'000;

void Nothing(int) {}

void BlockAlarm(int how) {
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(how, &alarm, nullptr);
}

}  // namespace

Impatience::Impatience() {
  struct sigaction action = {};
  action.sa_handler = Nothing;  // No SA_RESTART: the wait is to end. signal(7).
  // Again and again, so that one which comes before the wait has begun is not the last.
  const itimerval every = {{0, kPatienceUs}, {0, kPatienceUs}};
  given_ = sigaction(SIGALRM, &action, nullptr) == 0 && setitimer(ITIMER_REAL, &every, nullptr) == 0;
  if (given_) BlockAlarm(SIG_UNBLOCK);
}

Impatience::~Impatience() {
  const int error = errno;
  const itimerval never = {};
  BlockAlarm(SIG_BLOCK);
  if (given_) setitimer(ITIMER_REAL, &never, nullptr);
  errno = error;
}

void CloseShared(int fd) {
  const Impatience impatience;
  close(fd);
}

}  // namespace brood::child
