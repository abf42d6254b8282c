#include "launcher/input_pump_child.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace brood::child {
namespace {

constexpr size_t kBufferSize = 64 * 1024;
constexpr uint64_t kFirstPauseNs = 5'000'000;
constexpr uint64_t kLongestPauseNs = 160'000'000;

char g_buffer[kBufferSize];  // A guardian has one child; untouched pages cost nothing.

void CloseOne(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// What is no socket was opened without waiting, or never waits: stdio_linux.cc.
ssize_t ReadAtOnce(int fd, char* data, size_t size) {
  const ssize_t n = recv(fd, data, size, MSG_DONTWAIT);
  return n < 0 && errno == ENOTSOCK ? read(fd, data, size) : n;
}

}  // namespace

pollfd InputPump::Poll() const {
  if (begin_ < end_) return {record_.sink, POLLOUT, 0};
  return {record_.source, POLLIN, 0};
}

void InputPump::Move(const pollfd& polled, uint64_t now) {
  if (polled.revents == 0) return;
  if (begin_ == end_) {
    const ssize_t n = ReadAtOnce(record_.source, g_buffer, sizeof(g_buffer));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return EndSource(now);
    begin_ = 0;
    end_ = static_cast<size_t>(n);
  }
  const ssize_t n = write(record_.sink, g_buffer + begin_, end_ - begin_);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return Close();  // EPIPE: nobody reads.
  begin_ += static_cast<size_t>(n);
}

void InputPump::EndSource(uint64_t now) {
  CloseOne(&record_.source);
  if (record_.terminal < 0) return Close();
  pause_ns_ = kFirstPauseNs;
  next_ = now;
}

// A terminal has no end: Ctrl-D ends one read, on an empty line, or what is there of a line. A file's end is there for each
// read, also for the next program on the terminal, so the key is typed again whenever it has been read. termios(3), VEOF
void InputPump::OnTime(uint64_t now) {
  if (now < next_) return;
  pollfd unread = {record_.terminal, POLLIN, 0};
  termios settings;
  if (poll(&unread, 1, 0) == 0 && tcgetattr(record_.terminal, &settings) == 0 && settings.c_cc[VEOF] != _POSIX_VDISABLE) {
    const char key = static_cast<char>(settings.c_cc[VEOF]);
    if (write(record_.sink, &key, 1) == 1) pause_ns_ = kFirstPauseNs;
  }
  next_ = now + pause_ns_;
  if (pause_ns_ < kLongestPauseNs) pause_ns_ *= 2;
}

void InputPump::Close() {
  CloseOne(&record_.source);
  CloseOne(&record_.sink);
  CloseOne(&record_.terminal);
  begin_ = end_ = 0;
  next_ = UINT64_MAX;
}

}  // namespace brood::child
