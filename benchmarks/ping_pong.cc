#include "benchmarks/ping_pong.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/status.h"

namespace brood {
namespace {

bool ReadWhole(int fd, std::string& message) {
  for (size_t done = 0; done < message.size();) {
    const ssize_t n = read(fd, message.data() + done, message.size() - done);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool WriteWhole(int fd, const std::string& message) {
  for (size_t done = 0; done < message.size();) {
    const ssize_t n = send(fd, message.data() + done, message.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

PingPong::PingPong(size_t ping_bytes, size_t pong_bytes) : ping_bytes_(ping_bytes), pong_bytes_(pong_bytes) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
  socket_.reset(ends[0]);
  const UniqueFd other(ends[1]);
  pid_ = fork();
  if (pid_ != 0) return;
  socket_.reset();
  std::string ping(ping_bytes_, 'i');
  const std::string pong(pong_bytes_, 'o');
  while (ReadWhole(other.get(), ping) && WriteWhole(other.get(), pong)) {
  }
  _exit(0);
}

PingPong::~PingPong() {
  socket_.reset();
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

absl::Status PingPong::Do(int times) {
  const std::string ping(ping_bytes_, 'i');
  std::string pong(pong_bytes_, 'o');
  for (int i = 0; i < times; ++i) {
    if (!WriteWhole(socket_.get(), ping) || !ReadWhole(socket_.get(), pong)) return ErrnoStatus(errno, "ping-pong");
  }
  return absl::OkStatus();
}

}  // namespace brood
