#include "base/child_safe.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace brood::child {

void CopyText(char* out, size_t size, const char* text) {
  if (size == 0) return;
  size_t i = 0;
  for (; i + 1 < size && text != nullptr && text[i] != '\0'; ++i) out[i] = text[i];
  out[i] = '\0';
}

void ResetSignalActions() {
  for (int number = 1; number < 65; ++number) {
    struct {
      void* handler;
      unsigned long flags;
      void* restorer;
      uint64_t mask;
    } action = {};
    // Raw: the C library keeps 32 and 33 for itself and refuses to reset them. Errors: SIGKILL and SIGSTOP.
    syscall(SYS_rt_sigaction, number, &action, nullptr, 8);
  }
}

uint64_t MonotonicNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

int WriteFile(int directory_fd, const char* path, const char* text, size_t length) {
  const int fd = openat(directory_fd, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const ssize_t written = write(fd, text, length);
  const int error = written < 0 ? errno : (static_cast<size_t>(written) == length ? 0 : EIO);
  close(fd);
  return error;
}

long ReadFileAt(int fd, char* buffer, size_t size) {
  size_t length = 0;
  while (length + 1 < size) {
    const ssize_t n = pread(fd, buffer + length, size - 1 - length, static_cast<off_t>(length));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  buffer[length] = '\0';
  return static_cast<long>(length);
}

long ReadFile(int directory_fd, const char* path, char* buffer, size_t size) {
  const int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const long length = ReadFileAt(fd, buffer, size);
  close(fd);
  return length;
}

uint64_t ParseNumber(const char* text) {
  while (*text == ' ' || *text == '\t') ++text;
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + static_cast<uint64_t>(*text - '0');
  return value;
}

uint64_t NumberAfter(const char* text, const char* key, uint64_t fallback) {
  const size_t length = strlen(key);
  for (const char* line = text; line != nullptr && *line != '\0';) {
    if (strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == '\t')) {
      return ParseNumber(line + length);
    }
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return fallback;
}

}  // namespace brood::child
