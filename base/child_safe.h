// Helpers for code that runs between fork and exec, or in a guardian: no allocation, no locks, no exceptions, no stdio.
//
// Such code may be a copy of a process whose other threads held any lock at the moment of the fork, so everything here
// is a system call or works on memory that the caller gives. fork(2): "the child process may call only
// async-signal-safe functions".
#ifndef BROOD_BASE_CHILD_SAFE_H_
#define BROOD_BASE_CHILD_SAFE_H_

#include <cstddef>
#include <cstdint>

namespace brood::child {

// Text of bounded length in place, always terminated, cut when it would not fit.
template <size_t kCapacity>
class Text {
 public:
  Text& Add(const char* text) {
    while (text != nullptr && *text != '\0' && length_ + 1 < kCapacity) data_[length_++] = *text++;
    data_[length_] = '\0';
    return *this;
  }
  Text& AddNumber(uint64_t value) {
    char digits[21];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    return Add(digits + at);
  }
  const char* c_str() const { return data_; }
  size_t length() const { return length_; }

 private:
  char data_[kCapacity] = {};
  size_t length_ = 0;
};

// Copies `text` into `out` of `size` bytes, terminated, cut if longer.
void CopyText(char* out, size_t size, const char* text);

// Gives every signal its default action, also those that the C library keeps for itself. What is blocked stays so.
void ResetSignalActions();

// CLOCK_MONOTONIC in nanoseconds.
uint64_t MonotonicNanoseconds();

// Writes all of `text` with one write(2). Returns 0 or an errno value.
int WriteFile(int directory_fd, const char* path, const char* text, size_t length);

// Reads up to `size` - 1 bytes from offset 0 of an open file and terminates them. Returns the length, or -1.
long ReadFileAt(int fd, char* buffer, size_t size);

// As ReadFileAt, for a path below `directory_fd`.
long ReadFile(int directory_fd, const char* path, char* buffer, size_t size);

// The number after `key` at the start of a line ("oom_kill 3"), or `fallback`.
uint64_t NumberAfter(const char* text, const char* key, uint64_t fallback);

// The decimal number at `text`, after blanks; stops at the first other character.
uint64_t ParseNumber(const char* text);

}  // namespace brood::child

#endif  // BROOD_BASE_CHILD_SAFE_H_
