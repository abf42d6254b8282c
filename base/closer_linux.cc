#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "base/child_safe.h"
#include "base/closer.h"
#include "base/slow_file.h"

namespace brood::internal {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr uint64_t kPatienceNs = 5'000'000'000;  // For the own thread to run, where the machine is busy.

// Whether no descriptor is on its way in a UNIX socket. proc(5), /proc/pid/fdinfo; "scm_fds", from Linux 5.10 on
bool HoldsNone(int socket) {
  // Nothing at all is, most often, and that is told for less.
  pollfd poll_fd = {.fd = socket, .events = POLLIN | POLLPRI, .revents = 0};
  if (poll(&poll_fd, 1, 0) == 0) return true;
  child::Text<40> path;
  path.Add("/proc/self/fdinfo/").AddNumber(static_cast<uint64_t>(socket));
  char text[1024];
  return child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) > 0 && child::NumberAfter(text, "scm_fds:", 1) == 0;
}

// Nothing is sent by this. pidfd_send_signal(2): EBADF, if it is none
bool IsPidFd(int fd) { return syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) == 0 || errno == ESRCH || errno == EPERM; }

// Of the file, which others may have, too; 0: there is none.
uint64_t NumberOf(int fd) {
  struct statx about = {};
  return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &about) == 0 ? about.stx_ino + 1 : 0;
}

bool ClosesAtOnce(int fd) {
  if ((fcntl(fd, F_GETFL) & O_PATH) != 0) return true;  // It opens nothing. open(2)
  struct statx about = {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &about) != 0) return false;
  switch (about.stx_mode & S_IFMT) {
    case S_IFIFO:
      return true;
    case S_IFCHR:
      return about.stx_rdev_major == 1;  // null, zero, random. Documentation/admin-guide/devices.txt
    case S_IFREG:
    case S_IFDIR:
      return !IsSlowFile(fd);
    case S_IFSOCK: {
      int domain = 0;
      socklen_t size = sizeof(domain);
      return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX && HoldsNone(fd);
    }
    default:
      return IsPidFd(fd);
  }
}

}  // namespace

struct Closer::Shared {
  struct Left {
    UniqueFd fd;
    uid_t owner;
  };
  std::mutex mutex;
  std::condition_variable more, taken;
  std::deque<Left> left;
  std::map<uid_t, size_t> held_up;
  size_t taken_count = 0;
  size_t left_count = 0;
  int threads = 0;
  int idle = 0;
  bool over = false;

  void Run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      ++idle;
      more.wait(lock, [this] { return over || !left.empty(); });
      --idle;
      if (left.empty()) return;
      Left mine = std::move(left.front());
      left.pop_front();
      ++taken_count;
      taken.notify_all();
      lock.unlock();
      mine.fd.reset();
      lock.lock();
      if (--held_up[mine.owner] == 0) held_up.erase(mine.owner);
    }
  }

  static void* RunThread(void* arg) {
    const std::unique_ptr<std::shared_ptr<Shared>> shared(static_cast<std::shared_ptr<Shared>*>(arg));
    (*shared)->Run();
    return nullptr;
  }
};

Closer::Closer() : shared_(std::make_shared<Shared>()) {}

Closer::~Closer() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->over = true;
  shared_->more.notify_all();
}

void Closer::Leave(UniqueFd fd, uid_t owner) {
  const int number = fd.get();
  std::unique_lock<std::mutex> lock(shared_->mutex);
  shared_->left.push_back({std::move(fd), owner});
  ++shared_->held_up[owner];
  const size_t turn = ++shared_->left_count;
  bool is_taken = static_cast<size_t>(shared_->idle) >= shared_->left.size();
  if (is_taken) {
    shared_->more.notify_one();
  } else if (shared_->threads < kMaxThreads) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    auto argument = std::make_unique<std::shared_ptr<Shared>>(shared_);
    pthread_t thread;
    // There is a limit of processes. Those that are there come to it, else.
    if (pthread_create(&thread, &attributes, Shared::RunThread, argument.get()) == 0) {
      (void)argument.release();
      ++shared_->threads;
      is_taken = true;
    }
    pthread_attr_destroy(&attributes);
  }
  if (!is_taken) return;
  const uint64_t deadline = child::MonotonicNanoseconds() + kPatienceNs;
  const uint64_t file = NumberOf(number);
  shared_->taken.wait_for(lock, std::chrono::nanoseconds(kPatienceNs), [&] { return shared_->taken_count >= turn; });
  lock.unlock();
  // close(2) takes it out of the table before it asks anybody. Another file may have got the number since then.
  while (NumberOf(number) == file && child::MonotonicNanoseconds() < deadline) sched_yield();
}

void Closer::Close(UniqueFd fd, uid_t owner) {
  if (fd.valid() && !ClosesAtOnce(fd.get())) Leave(std::move(fd), owner);
}

void Closer::Close(std::vector<UniqueFd> fds, uid_t owner) {
  for (UniqueFd& fd : fds) Close(std::move(fd), owner);
}

void Closer::CloseConnection(UniqueFd connection, uid_t owner) {
  if (!connection.valid()) return;
  shutdown(connection.get(), SHUT_RD);  // From here on nothing comes to it.
  if (!HoldsNone(connection.get())) Leave(std::move(connection), owner);
}

size_t Closer::HeldUp(uid_t owner) const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  const auto found = shared_->held_up.find(owner);
  return found == shared_->held_up.end() ? 0 : found->second;
}

}  // namespace brood::internal
