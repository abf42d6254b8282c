#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/child_safe.h"
#include "serve/closer.h"

namespace brood::internal {
namespace {

// Whether no descriptor is on its way in a UNIX socket. proc(5), /proc/pid/fdinfo; "scm_fds", from Linux 5.10 on
bool HoldsNone(int socket) {
  child::Text<40> path;
  path.Add("/proc/self/fdinfo/").AddNumber(static_cast<uint64_t>(socket));
  char text[1024];
  return child::ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) > 0 && child::NumberAfter(text, "scm_fds:", 1) == 0;
}

// By what the kernel knows without asking anybody.
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
      return fcntl(fd, F_GET_SEALS) >= 0;  // memfd_create(2)
    case S_IFSOCK: {
      int domain = 0;
      socklen_t size = sizeof(domain);
      return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX && HoldsNone(fd);
    }
    default:
      return false;
  }
}

}  // namespace

struct Closer::Shared {
  std::mutex mutex;
  std::condition_variable more;
  std::deque<UniqueFd> left;
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
      UniqueFd fd = std::move(left.front());
      left.pop_front();
      lock.unlock();
      fd.reset();
      lock.lock();
    }
  }
};

Closer::Closer() : shared_(std::make_shared<Shared>()) {}

Closer::~Closer() {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->over = true;
  shared_->more.notify_all();
}

void Closer::Leave(UniqueFd fd) {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  shared_->left.push_back(std::move(fd));
  if (static_cast<size_t>(shared_->idle) >= shared_->left.size() || shared_->threads == kMaxThreads) return shared_->more.notify_one();
  try {
    std::thread([shared = shared_] { shared->Run(); }).detach();
    ++shared_->threads;
  } catch (const std::system_error&) {
    // There is a limit of processes. Those that are there come to it.
  }
}

void Closer::Close(UniqueFd fd) {
  if (fd.valid() && !ClosesAtOnce(fd.get())) Leave(std::move(fd));
}

void Closer::Close(std::vector<UniqueFd> fds) {
  for (UniqueFd& fd : fds) Close(std::move(fd));
}

void Closer::CloseConnection(UniqueFd connection) {
  if (!connection.valid()) return;
  shutdown(connection.get(), SHUT_RD);  // From here on nothing comes to it.
  if (!HoldsNone(connection.get())) Leave(std::move(connection));
}

}  // namespace brood::internal
