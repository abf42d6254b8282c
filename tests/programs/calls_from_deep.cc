// Makes a forbidden system call from nested functions whose names a stack trace must show, in the main thread or another.
// usage: calls_from_deep [thread]
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace deep {

struct Innermost {
  [[gnu::noinline]] long Call(const std::string& text) { return syscall(SYS_reboot, 0, 0, 0, text.c_str()) + 1; }
};

template <typename T>
[[gnu::noinline]] long Middle(const std::vector<T>& items) {
  Innermost innermost;
  // With a frame of its own, found by the frame pointer.
  volatile char* room = static_cast<char*>(__builtin_alloca(items.size() + 16));
  room[0] = 1;
  return innermost.Call(std::string(items.size(), 'x')) + room[0];
}

[[gnu::noinline]] long Outer(int depth) {
  if (depth > 0) return Outer(depth - 1) + 1;
  return Middle<int>({1, 2, 3}) + 1;
}

}  // namespace deep

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "thread") == 0) {
    std::thread([] { deep::Outer(2); }).join();
    return 0;
  }
  return static_cast<int>(deep::Outer(2));
}
