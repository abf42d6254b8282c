// The floor of everything that asks another process and waits for its answer: two processes, one stream socket.
#ifndef BROOD_BENCHMARKS_PING_PONG_H_
#define BROOD_BENCHMARKS_PING_PONG_H_

#include <sys/types.h>

#include <cstddef>

#include "absl/status/status.h"
#include "base/unique_fd.h"

namespace brood {

class PingPong {
 public:
  // Forks the other process: while this one has one thread.
  PingPong(size_t ping_bytes, size_t pong_bytes);
  PingPong(const PingPong&) = delete;
  PingPong& operator=(const PingPong&) = delete;
  ~PingPong();

  absl::Status Do(int times);

 private:
  const size_t ping_bytes_;
  const size_t pong_bytes_;
  UniqueFd socket_;
  pid_t pid_ = -1;
};

}  // namespace brood

#endif  // BROOD_BENCHMARKS_PING_PONG_H_
